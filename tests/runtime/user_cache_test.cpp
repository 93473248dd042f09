// Where the cache is, and that trouble with its files is told, never thrown.
#include "runtime/user_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/scoped_variable.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::runtime {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using vktrain::testing::ScopedVariable;
using vktrain::testing::TemporaryFolder;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(UserCache, AnEmptyVariableSwitchesItOff) {
  const ScopedVariable home("HOME", "/home/someone");
  const ScopedVariable own("VKTRAIN_CACHE_DIR", "");
  EXPECT_EQ(user_cache_folder(), std::nullopt);
}

TEST(UserCache, WritesReplacesAndReads) {
  const TemporaryFolder base;
  const fs::path folder = base / "a/b";
  EXPECT_EQ(write_cached(folder, "file", bytes_of("first")), "");
  EXPECT_EQ(write_cached(folder, "file", bytes_of("second")), "");
  const CachedFile file = read_cached(folder, "file", 6);
  EXPECT_EQ(file.bytes, "second");
  EXPECT_EQ(file.problem, "");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
}

TEST(UserCache, AMissingFileIsNoProblem) {
  const TemporaryFolder folder;
  const CachedFile file = read_cached(folder / "none", "file", 10);
  EXPECT_EQ(file.bytes, std::nullopt);
  EXPECT_EQ(file.problem, "");
}

TEST(UserCache, TellsWhatItCannotUse) {
  const TemporaryFolder folder;
  ASSERT_EQ(write_cached(folder.path(), "file", bytes_of("1234567")), "");
  const CachedFile large = read_cached(folder.path(), "file", 6);
  EXPECT_EQ(large.bytes, std::nullopt);
  EXPECT_THAT(large.problem, HasSubstr("expected at most 6 bytes"));
  fs::create_directory(folder / "folder");
  EXPECT_THAT(read_cached(folder.path(), "folder", 6).problem, HasSubstr("found a folder"));
  EXPECT_THAT(write_cached(folder.path(), "folder", bytes_of("x")), HasSubstr("found a folder"));
  // The place of the folder is taken by a file.
  EXPECT_THAT(write_cached(folder / "file", "x", bytes_of("x")), HasSubstr("cannot make"));
}

}  // namespace
}  // namespace vktrain::runtime
