// Runs commands of the program in this process, in a folder of their own, on a small data set.
//
// VKTRAIN_TEST_DEVICE chooses the device (tests/support/test_device.h); the validation layer is on
// unless VKTRAIN_TEST_VALIDATION=0, and a message of it is exit code 1.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/scoped_variable.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_device.h"

namespace vktrain::testing {

struct CommandResult {
  int code = -1;
  std::string out;
  std::string err;
};

CommandResult run_command(const std::vector<std::string>& arguments, int columns = 0);

// A failed command: the exit code, one line on stderr that holds each part, nothing on stdout.
void expect_failure(const CommandResult& result, int code,
                    const std::vector<std::string_view>& parts);

// FashionMNIST's four files with these counts of 28 x 28 images, three in four of them easy
// to tell apart; plain IDX.
void write_data_set(const std::filesystem::path& folder, std::uint32_t train_count,
                    std::uint32_t test_count);

std::string read_text(const std::filesystem::path& path);
nlohmann::json read_json(const std::filesystem::path& path);
std::vector<nlohmann::json> read_json_lines(const std::filesystem::path& path);
// The lines of metrics.jsonl without what a clock decides.
std::vector<nlohmann::json> untimed_metrics(const std::filesystem::path& run_folder);

class CommandTest : public ::testing::Test {
 protected:
  // Changes into a new folder with the data set in data/ and the experiment tiny.toml. Kernels are
  // tuned only where a test asks for it: what another run remembered must not decide bits.
  void SetUp() override;
  void TearDown() override;

  // train/evaluate/predict with the data set, the device and the validation layer.
  CommandResult compute(std::vector<std::string> arguments, int columns = 0);
  // The same; fails the test unless it exits with 0.
  CommandResult compute_well(std::vector<std::string> arguments, int columns = 0);

  testing::TemporaryFolder folder_;

 private:
  ScopedVariable tune_{"VKTRAIN_TUNE", "off"};
  std::filesystem::path before_;
};

}  // namespace vktrain::testing
