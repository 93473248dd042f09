// Where FashionMNIST is looked for, and small sets in its place.
#include "nn/data/fashion_mnist.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "runtime/platform.h"
#include "tests/nn/data/idx_files.h"
#include "tests/nn/expect_error.h"
#include "tests/support/scoped_variable.h"

namespace vktrain::nn {
namespace {

namespace fs = std::filesystem;

using vktrain::testing::ScopedVariable;
using vktrain::testing::TemporaryFolder;
using vktrain::testing::write_bytes;

class FashionMnistTest : public ::testing::Test {
 protected:
  // A set of 4 training and 2 test images of 3x2 pixels; the test files compressed.
  fs::path make_set(const std::string& name, std::uint32_t test_width = 2) {
    const fs::path folder = folder_ / name;
    fs::create_directories(folder);
    write_bytes(folder / "train-images-idx3-ubyte", idx_bytes({4, 3, 2}, counting_bytes(24)));
    write_bytes(folder / "train-labels-idx1-ubyte", idx_bytes({4}, {0, 1, 2, 9}));
    write_bytes(folder / "t10k-images-idx3-ubyte.gz",
                gzip_bytes(idx_bytes({2, 3, test_width}, counting_bytes(6 * test_width))));
    write_bytes(folder / "t10k-labels-idx1-ubyte.gz", gzip_bytes(idx_bytes({2}, {3, 4})));
    return folder;
  }

  TemporaryFolder folder_;
  ScopedVariable no_data_{"VKTRAIN_DATA", nullptr};
};

TEST_F(FashionMnistTest, LoadsBothSets) {
  const FashionMnist data = load_fashion_mnist(make_set("set"));
  EXPECT_EQ(data.train.count, 4);
  EXPECT_EQ(data.train.height, 3);
  EXPECT_EQ(data.train.width, 2);
  EXPECT_EQ(data.train.labels, (Bytes{0, 1, 2, 9}));
  EXPECT_EQ(data.test.count, 2);
  EXPECT_EQ(data.test.labels, (Bytes{3, 4}));
  EXPECT_EQ(data.test.classes, 10);
  EXPECT_EQ(data.folder, folder_ / "set");
}

TEST_F(FashionMnistTest, RefusesSetsThatDontFitTogether) {
  expect_error([&] { load_fashion_mnist(make_set("set", 5)); }, {"1x3x2", "1x3x5"});
  expect_error([&] { load_fashion_mnist(folder_ / "none"); }, {"train-images-idx3-ubyte"});
}

TEST_F(FashionMnistTest, TheOptionComesFirstThenTheVariableThenThePlaces) {
  const fs::path given = make_set("given");
  const fs::path named = make_set("named");
  const fs::path place = make_set("place");
  EXPECT_EQ(find_fashion_mnist({}, {folder_ / "empty", place, given}), place);
  const ScopedVariable variable("VKTRAIN_DATA", named);
  EXPECT_EQ(find_fashion_mnist({}, {place}), named);
  EXPECT_EQ(find_fashion_mnist(given, {place}), given);
}

TEST_F(FashionMnistTest, ANamedFolderIsNeverPassedOver) {
  const fs::path place = make_set("place");
  const fs::path partial = make_set("partial");
  fs::remove(partial / "t10k-labels-idx1-ubyte.gz");
  expect_error([&] { find_fashion_mnist(partial, {place}); },
               {"--data", "partial", "t10k-labels-idx1-ubyte"});
  expect_error([&] { find_fashion_mnist(folder_ / "none", {place}); }, {"--data", "not a folder"});
  const ScopedVariable variable("VKTRAIN_DATA", partial);
  expect_error([&] { find_fashion_mnist({}, {place}); }, {"VKTRAIN_DATA", "t10k-labels"});
}

TEST_F(FashionMnistTest, NothingFoundNamesEveryPlaceAndTheWaysOut) {
  const fs::path partial = make_set("partial");
  fs::remove(partial / "train-labels-idx1-ubyte");
  expect_error(
      [&] {
        find_fashion_mnist({}, {folder_ / "first", partial});
      },
      {"first'", "partial' (lacks 'train-labels-idx1-ubyte')", std::string(system_words().data_set),
       "vktrain data fetch", "--data", "VKTRAIN_DATA"});
}

TEST(LabelNames, AreInTheOrderOfTheLabels) {
  EXPECT_EQ(label_names()[0], "T-shirt/top");
  EXPECT_EQ(label_names()[9], "Ankle boot");
}

}  // namespace
}  // namespace vktrain::nn
