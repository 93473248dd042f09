// Atomic writing: the target is old or new, and no temporary stays behind.
#include "runtime/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "tests/nn/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace vktrain {
namespace {

namespace fs = std::filesystem;
using vktrain::testing::TemporaryFolder;

TEST(AtomicFile, WritesAndReplaces) {
  TemporaryFolder folder;
  const fs::path path = folder / "metrics.json";
  write_file_atomically(path, "first");
  EXPECT_EQ(read_text_file(path), "first");
  const std::string longer(300'000, 'x');
  write_file_atomically(path, longer);
  EXPECT_EQ(read_text_file(path), longer);
  write_file_atomically(path, "");
  EXPECT_EQ(read_text_file(path), "");
  EXPECT_EQ(folder.names().size(), 1U);
}

TEST(AtomicFile, KeepsPermissionsAndLinks) {
  TemporaryFolder folder;
  write_file_atomically(folder / "real", "old");
  fs::permissions(folder / "real", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real", folder / "link");
  write_file_atomically(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_text_file(folder / "real"), "new");
  EXPECT_EQ(fs::status(folder / "real").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST(AtomicFile, AStaleTemporaryIsNoObstacle) {
  TemporaryFolder folder;
  write_file_atomically(folder / (".vktrain-" + std::to_string(::getpid()) + "-0.tmp"), "stale");
  write_file_atomically(folder / "file", "new");
  EXPECT_EQ(read_text_file(folder / "file"), "new");
}

TEST(AtomicFile, RefusesWhatIsNoRegularFile) {
  TemporaryFolder folder;
  fs::create_directory(folder / "sub");
  expect_error([&] { write_file_atomically(folder / "sub", "x"); }, {"sub", "a folder"});
  expect_error([&] { write_file_atomically("/dev/null", "x"); }, {"/dev/null", "regular"});
  expect_error([&] { write_file_atomically(folder / "none" / "file", "x"); }, {"none", "No such"});
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error([&] { write_file_atomically(folder / "pipe", "x"); }, {"pipe", "regular"});
  EXPECT_EQ(folder.names().size(), 2U);
}

// A file-size limit stands for a full disk: the write fails midway.
TEST(AtomicFile, AFailedWriteLeavesTheOldFileAndNoTemporary) {
  TemporaryFolder folder;
  write_file_atomically(folder / "model", "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_error([&] { write_file_atomically(folder / "model", std::string(10'000, 'x')); },
               {"cannot write", "model", "too large"});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(read_text_file(folder / "model"), "old");
  EXPECT_EQ(folder.names().size(), 1U);
}

TEST(AtomicFile, MovesACompleteFileIntoPlace) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a.part", "new");
  write_file_atomically(folder / "a", "old");
  move_into_place(folder / "a.part", folder / "a");
  EXPECT_EQ(read_text_file(folder / "a"), "new");
  EXPECT_EQ(folder.names().size(), 1U);
  expect_error([&] { move_into_place(folder / "a.part", folder / "a"); }, {"a.part"});
}

TEST(ReadTextFile, SaysWhatIsWrong) {
  TemporaryFolder folder;
  expect_error([&] { read_text_file(folder / "none.toml"); }, {"none.toml", "No such"});
  expect_error([&] { read_text_file(folder.path()); }, {"a folder"});
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error([&] { read_text_file(folder / "pipe"); }, {"pipe", "expected a file"});
}

TEST(ReadTextFile, KeepsEveryByte) {
  TemporaryFolder folder;
  std::string text = "a\r\nb";
  text.push_back('\0');
  text += "\xff";
  write_file_atomically(folder / "bytes", text);
  EXPECT_EQ(read_text_file(folder / "bytes"), text);
}

}  // namespace
}  // namespace vktrain
