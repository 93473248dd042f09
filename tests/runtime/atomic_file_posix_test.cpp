// Atomic writing where files have permissions, and links, pipes and limits on files exist.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "runtime/atomic_file.h"
#include "tests/nn/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace vktrain {
namespace {

namespace fs = std::filesystem;
using vktrain::testing::TemporaryFolder;

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

TEST(AtomicFile, RefusesPipesAndDevices) {
  TemporaryFolder folder;
  expect_error([&] { write_file_atomically("/dev/null", "x"); }, {"/dev/null", "regular"});
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error([&] { write_file_atomically(folder / "pipe", "x"); }, {"pipe", "regular"});
  expect_error([&] { read_text_file(folder / "pipe"); }, {"pipe", "expected a file"});
  EXPECT_EQ(folder.names().size(), 1U);
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

}  // namespace
}  // namespace vktrain
