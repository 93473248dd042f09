// Atomic writing: the target is old or new, and no temporary stays behind.
#include "runtime/atomic_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/platform.h"
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

TEST(AtomicFile, AStaleTemporaryIsNoObstacle) {
  TemporaryFolder folder;
  write_file_atomically(folder / (".vktrain-" + std::to_string(process_id()) + "-0.tmp"), "stale");
  write_file_atomically(folder / "file", "new");
  EXPECT_EQ(read_text_file(folder / "file"), "new");
}

TEST(AtomicFile, NamesMayHoldSpacesAndAnyScriptAndBeLong) {
  TemporaryFolder folder;
  const std::string name = "Übungs lauf 学";
  const fs::path below = folder / name;
  fs::create_directory(below);
  EXPECT_EQ(folder.names(), std::vector<std::string>{name});
  const fs::path path = below / path_of(std::string(150, 'n') + " ä.json");
  write_file_atomically(path, "text");
  write_file_atomically(path, "new text");
  EXPECT_EQ(read_text_file(path), "new text");
  expect_error([&] { read_text_file(below / "keine"); }, {name});
}

TEST(AtomicFile, RefusesWhatIsNoRegularFile) {
  TemporaryFolder folder;
  fs::create_directory(folder / "sub");
  expect_error([&] { write_file_atomically(folder / "sub", "x"); }, {"sub", "a folder"});
  expect_error([&] { write_file_atomically(folder / "none" / "file", "x"); }, {"none", "No such"});
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
}

TEST(AtomicFile, RelativePathsAreOfTheCurrentFolder) {
  TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file_atomically("here", "text");
  EXPECT_EQ(read_text_file(fs::path(".") / "here"), "text");
  fs::current_path(before);
  EXPECT_EQ(read_text_file(folder / "here"), "text");
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
