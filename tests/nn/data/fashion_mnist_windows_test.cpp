// Where FashionMNIST is looked for by the variables of Windows.
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "nn/data/fashion_mnist.h"
#include "tests/nn/expect_error.h"
#include "tests/support/scoped_variable.h"

namespace vktrain::nn {
namespace {

namespace fs = std::filesystem;

using vktrain::testing::ScopedVariable;

TEST(FashionMnistPlaces, FollowTheEnvironment) {
  const ScopedVariable data("PROGRAMDATA", "D:\\shared");
  {
    const ScopedVariable cache("LOCALAPPDATA", "D:\\Größe 学");
    EXPECT_EQ(fashion_mnist_places(),
              (std::vector<fs::path>{L"D:/shared/datasets/fashion-mnist",
                                     L"D:/Gr\u00f6\u00dfe \u5b66/vktrain/fashion-mnist"}));
  }
  const ScopedVariable relative("LOCALAPPDATA", "not\\absolute");
  EXPECT_EQ(fashion_mnist_places().size(), 1U);
  expect_error([] { fashion_mnist_cache(); }, {"LOCALAPPDATA"});
}

}  // namespace
}  // namespace vktrain::nn
