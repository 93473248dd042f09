// Buffers, arenas and the copies to and from them.
#include "runtime/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "runtime/error.h"
#include "tests/support/device_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

class MemoryTest : public vktrain::testing::DeviceTest {
 protected:
  std::vector<std::uint32_t> read(const Slice& slice) {
    std::vector<std::uint32_t> words(slice.size / 4);
    device().download(slice, std::as_writable_bytes(std::span(words)));
    return words;
  }
  void write(const Slice& slice, std::span<const std::uint32_t> words) {
    device().upload(slice, std::as_bytes(words));
  }
  Arena arena_{vktrain::testing::shared_device(), "arena"};
};

std::vector<std::uint32_t> pattern(std::size_t count) {
  std::vector<std::uint32_t> words(count);
  for (std::size_t i = 0; i < count; ++i) words[i] = static_cast<std::uint32_t>(i * 2654435761u);
  return words;
}

TEST_F(MemoryTest, SlicesOverlapByBytes) {
  const Slice x = arena_.allocate(64, "x");
  const Slice y = arena_.allocate(64, "y");
  EXPECT_TRUE(x.overlaps(x));
  EXPECT_FALSE(x.overlaps(y));
  EXPECT_TRUE(x.part(0, 17).overlaps(x.part(16, 4)));
  EXPECT_FALSE(x.part(0, 16).overlaps(x.part(16, 4)));
}

TEST_F(MemoryTest, BuffersAreZero) {
  // Twice, because the second may get the memory of the first.
  for (int i = 0; i < 2; ++i) {
    Arena arena(device(), "zeros");
    const Slice slice = arena.allocate(100'004, "x");
    EXPECT_THAT(read(slice), Each(0u));
    device().fill(slice, 0xdeadbeef);
  }
}

TEST_F(MemoryTest, ArenasCountBytesAndNameBuffers) {
  const Slice slice = arena_.allocate(1000, "weights");
  arena_.allocate(24, "bias");
  EXPECT_EQ(arena_.bytes(), 1024u);
  EXPECT_EQ(slice.buffer->name(), "arena/weights");
  EXPECT_EQ(slice.buffer->size(), 1000u);
  EXPECT_EQ(slice.size, 1000u);
}

// Around the size of the staging buffer (16 MiB) and the smallest one (64 KiB).
TEST_F(MemoryTest, RoundtripsOfManySizes) {
  for (const std::size_t bytes : {4u, 12u, 65'532u, 65'536u, 65'540u, 1'000'004u, (16u << 20) - 4,
                                  16u << 20, (16u << 20) + 4, (33u << 20) + 12}) {
    Arena arena(device(), "roundtrip");
    const Slice slice = arena.allocate(bytes, "x");
    const auto words = pattern(bytes / 4);
    write(slice, words);
    ASSERT_EQ(read(slice), words) << bytes;
  }
}

TEST_F(MemoryTest, CopiesTouchOnlyTheirSlice) {
  const Slice slice = arena_.allocate(4 * 1000, "x");
  auto expected = pattern(1000);
  write(slice, expected);
  const std::vector<std::uint32_t> sevens(13, 7);
  write(slice.part(4 * 5, 4 * 13), sevens);
  std::fill_n(expected.begin() + 5, 13, 7u);
  device().fill(slice.part(4 * 997, 4 * 2), 9);
  std::fill_n(expected.begin() + 997, 2, 9u);
  EXPECT_EQ(read(slice), expected);
  EXPECT_THAT(read(slice.part(4 * 5, 4 * 13)), Each(7u));
  write(slice.part(4 * 20, 4 * 100), sevens);  // fewer data than the slice holds
  std::fill_n(expected.begin() + 20, 13, 7u);
  EXPECT_EQ(read(slice), expected);
}

TEST_F(MemoryTest, EmptyCopiesDoNothing) {
  const Slice slice = arena_.allocate(16, "x");
  device().upload(slice, {});
  device().download(slice, {});
  device().fill(slice.part(4, 0), 1);
  EXPECT_THAT(read(slice), Each(0u));
}

TEST_F(MemoryTest, BadCopiesAreRefused) {
  const Slice slice = arena_.allocate(64, "x");
  std::vector<std::byte> data(68);
  EXPECT_THROW(device().upload(slice, data), std::invalid_argument);
  EXPECT_THROW(device().download(slice, data), std::invalid_argument);
  EXPECT_THROW(device().upload(slice, std::span(data).first(3)), std::invalid_argument);
  EXPECT_THROW(device().download(slice.part(2, 8), std::span(data).first(4)),
               std::invalid_argument);
  EXPECT_THROW(device().fill(slice.part(60, 8), 1), std::invalid_argument);
  EXPECT_THROW(device().fill(slice.part(0, 6), 1), std::invalid_argument);
  EXPECT_THROW(device().fill({}, 1), std::invalid_argument);
  try {
    device().upload(slice, data);
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "upload of buffer \"arena/x\": 68 bytes do not fit a slice of 64");
  }
}

TEST_F(MemoryTest, ABufferThatTheDeviceCannotHoldIsRefused) {
  const std::uint64_t limit = device().profile().max_allocation;
  if (limit == ~std::uint64_t{0}) GTEST_SKIP() << "this device names no limit";
  try {
    arena_.allocate(limit + 1, "all weights");
    FAIL() << "allocated";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("buffer \"arena/all weights\" needs "));
    EXPECT_THAT(error.what(), HasSubstr("in one allocation"));
  }
  EXPECT_EQ(arena_.bytes(), 0u);
  EXPECT_THROW(arena_.allocate(0, "nothing"), std::invalid_argument);
}

}  // namespace
}  // namespace vktrain::runtime
