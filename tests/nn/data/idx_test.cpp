// The IDX reader on good files and on every way to spoil one.
#include "nn/data/idx.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "nn/data/image_set.h"
#include "tests/nn/data/idx_files.h"
#include "tests/nn/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::nn {
namespace {

using vktrain::testing::TemporaryFolder;
using vktrain::testing::write_bytes;

class IdxTest : public ::testing::Test {
 protected:
  std::filesystem::path file(const Bytes& bytes) {
    return write_bytes(folder_ / "some-idx", bytes);
  }

  TemporaryFolder folder_;
};

TEST_F(IdxTest, ReadsPlainAndGzip) {
  const Bytes data = counting_bytes(2 * 3 * 5);
  const Bytes plain = idx_bytes({2, 3, 5}, data);
  for (const Bytes& bytes : {plain, gzip_bytes(plain)}) {
    const IdxArray array = read_idx(file(bytes));
    EXPECT_EQ(array.dims, (std::vector<std::uint32_t>{2, 3, 5}));
    EXPECT_EQ(array.bytes, data);
  }
}

TEST_F(IdxTest, ReadsDataLongerThanItsBuffers) {
  const Bytes data = counting_bytes((std::size_t{16} << 20) + 17, 251);
  const auto count = static_cast<std::uint32_t>(data.size());
  EXPECT_EQ(read_idx(file(gzip_bytes(idx_bytes({count}, data)))).bytes, data);
}

TEST_F(IdxTest, ReadsAnEmptyArray) {
  EXPECT_TRUE(read_idx(file(idx_bytes({0, 28, 28}, {}))).bytes.empty());
  // The product overflows only until the 0 is seen.
  EXPECT_TRUE(read_idx(file(idx_bytes({0xffffffff, 0xffffffff, 0xffffffff, 0}, {}))).bytes.empty());
}

TEST_F(IdxTest, RefusesAMissingFileOrAFolder) {
  expect_error([&] { read_idx(folder_ / "absent"); }, {"absent", "No such"});
  expect_error([&] { read_idx(folder_.path()); }, {"a folder"});
}

TEST_F(IdxTest, RefusesAWrongMagicNumber) {
  expect_error(
      [&] {
        read_idx(file({0x89, 'P', 'N', 'G', 1, 2, 3, 4}));
      },
      {"some-idx", "0x00000803", "0x89504e47"});
  expect_error([&] { read_idx(file({0, 0, 8, 0})); }, {"0x00000800"});
  expect_error([&] { read_idx(file({})); }, {"truncated", "expected 4", "found 0"});
  expect_error([&] { read_idx(file({0, 0, 8})); }, {"truncated", "found 3"});
}

TEST_F(IdxTest, RefusesAnotherElementType) {
  expect_error(
      [&] {
        read_idx(file(idx_bytes({1}, {0, 0, 0, 0}, 0x0d)));
      },
      {"unsigned bytes (0x08)", "0x0d"});
}

TEST_F(IdxTest, RefusesTruncatedAndTrailingData) {
  expect_error(
      [&] {
        read_idx(file(idx_bytes({2, 3}, counting_bytes(5))));
      },
      {"truncated", "expected 6", "found 5"});
  expect_error(
      [&] {
        read_idx(file(idx_bytes({2, 3}, counting_bytes(7))));
      },
      {"damaged", "expected 6", "more"});
}

TEST_F(IdxTest, RefusesAbsurdDimensions) {
  // 2^32 elements; 2^64 elements, 0 in 64 bits; 255 dimensions.
  expect_error(
      [&] {
        read_idx(file(idx_bytes({65536, 65536}, {})));
      },
      {"4294967295", "65536 x 65536"});
  expect_error(
      [&] {
        read_idx(file(idx_bytes({65536, 65536, 65536, 65536}, {})));
      },
      {"65536 x 65536 x 65536 x 65536"});
  expect_error([&] { read_idx(file(idx_bytes(std::vector<std::uint32_t>(255, 0xffffffff), {}))); },
               {"4294967295 x"});
}

TEST_F(IdxTest, ALyingHeaderCostsNoMemory) {
  expect_error(
      [&] {
        read_idx(file(idx_bytes({0xffffffff}, {1, 2, 3})));
      },
      {"truncated", "expected 4294967295", "found 3"});
}

TEST_F(IdxTest, EveryTruncationIsAnError) {
  const Bytes plain = idx_bytes({4, 3, 3}, counting_bytes(36));
  for (const Bytes& whole : {plain, gzip_bytes(plain)}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto path = file(Bytes(whole.begin(), whole.begin() + static_cast<long>(size)));
      expect_error([&] { read_idx(path); }, {"some-idx"});
    }
  }
}

TEST_F(IdxTest, EveryBitFlipIsAnErrorOrAnArray) {
  const Bytes plain = idx_bytes({4, 3, 3}, counting_bytes(36));
  for (const Bytes& whole : {plain, gzip_bytes(plain)}) {
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      Bytes bytes = whole;
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      const auto path = file(bytes);
      try {
        const IdxArray array = read_idx(path);
        std::uint64_t elements = 1;
        for (const std::uint32_t dim : array.dims) elements *= dim;
        EXPECT_EQ(array.bytes.size(), elements) << "bit " << bit;
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("some-idx"), std::string::npos) << error.what();
      }
    }
  }
}

TEST_F(IdxTest, AFlippedBitOfCompressedDataNeverChangesTheArray) {
  const Bytes data = counting_bytes(36);
  const Bytes whole = gzip_bytes(idx_bytes({4, 3, 3}, data));
  constexpr std::size_t kGzipHeader = 10;
  std::size_t noticed = 0;
  for (std::size_t bit = kGzipHeader * 8; bit < whole.size() * 8; ++bit) {
    Bytes bytes = whole;
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const auto path = file(bytes);
    try {
      EXPECT_EQ(read_idx(path).bytes, data) << "bit " << bit;
    } catch (const Error&) {
      ++noticed;
    }
  }
  // All but the up to 7 unused bits between the deflate stream and the checksum.
  EXPECT_GE(noticed, (whole.size() - kGzipHeader) * 8 - 7);
}

class ImageSetTest : public ::testing::Test {
 protected:
  ImageSet read(const Bytes& images, const Bytes& labels, int classes = 10) {
    return read_image_set(write_bytes(folder_ / "images", images),
                          write_bytes(folder_ / "labels", labels), classes);
  }

  TemporaryFolder folder_;
};

TEST_F(ImageSetTest, ReadsGreyAndColourImages) {
  const ImageSet grey = read(idx_bytes({3, 2, 4}, counting_bytes(24)), idx_bytes({3}, {9, 0, 5}));
  EXPECT_EQ(grey.count, 3);
  EXPECT_EQ(grey.channels, 1);
  EXPECT_EQ(grey.height, 2);
  EXPECT_EQ(grey.width, 4);
  EXPECT_EQ(grey.pixels_per_image(), 8);
  EXPECT_EQ(grey.pixels, counting_bytes(24));
  EXPECT_EQ(grey.labels, (Bytes{9, 0, 5}));
  EXPECT_EQ(grey.classes, 10);

  const ImageSet colour = read(idx_bytes({1, 3, 2, 4}, counting_bytes(24)), idx_bytes({1}, {1}));
  EXPECT_EQ(colour.channels, 3);
  EXPECT_EQ(colour.height, 2);
  EXPECT_EQ(colour.width, 4);
}

TEST_F(ImageSetTest, RefusesCountsThatDiffer) {
  expect_error(
      [&] {
        read(idx_bytes({3, 1, 1}, counting_bytes(3)), idx_bytes({2}, counting_bytes(2)));
      },
      {"images", "labels", "3 images", "2 labels"});
}

TEST_F(ImageSetTest, RefusesLabelsOutOfRange) {
  const Bytes images = idx_bytes({3, 1, 1}, counting_bytes(3));
  expect_error(
      [&] {
        read(images, idx_bytes({3}, {0, 10, 1}));
      },
      {"labels", "0 to 9", "found 10", "image 1"});
  EXPECT_EQ(read(images, idx_bytes({3}, {0, 10, 1}), 11).classes, 11);
}

TEST_F(ImageSetTest, RefusesWrongDimensions) {
  const Bytes images = idx_bytes({2, 1, 1}, counting_bytes(2));
  const Bytes labels = idx_bytes({2}, counting_bytes(2));
  expect_error([&] { read(labels, labels); }, {"images", "[count, height, width]", "[2]"});
  expect_error([&] { read(images, images); }, {"labels", "[count]", "[2, 1, 1]"});
  expect_error(
      [&] {
        read(idx_bytes({0, 28, 28}, {}), idx_bytes({0}, {}));
      },
      {"no pixels", "[0, 28, 28]"});
}

}  // namespace
}  // namespace vktrain::nn
