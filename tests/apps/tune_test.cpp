// --tune: what a training says of it, what the run folder keeps, and that remembered kernels repeat
// a run bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/apps/command_fixture.h"

namespace vktrain::testing {
namespace {

namespace fs = std::filesystem;

class Tune : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    cache_ = std::make_unique<ScopedVariable>("VKTRAIN_CACHE_DIR", folder_.path() / "cache");
  }

  CommandResult train(const std::string& folder, const std::vector<std::string>& tuning) {
    std::vector<std::string> arguments = {"train", "tiny.toml",  "--run-dir",
                                          folder,  "--progress", "plain"};
    arguments.insert(arguments.end(), tuning.begin(), tuning.end());
    return compute_well(arguments);
  }

  static std::vector<fs::path> remembered() {
    std::vector<fs::path> files;
    if (!fs::exists("cache")) return files;
    for (const auto& entry : fs::directory_iterator("cache")) {
      if (entry.path().filename().string().starts_with("kernels-")) files.push_back(entry.path());
    }
    return files;
  }

 private:
  std::unique_ptr<ScopedVariable> cache_;
};

TEST_F(Tune, RememberedKernelsRepeatARun) {
  const std::vector<std::string> quick = {"--tune", "quick", "--tune-budget", "0.5"};
  const CommandResult first = train("first", quick);
  EXPECT_NE(first.out.find("tuned "), std::string::npos) << first.out;
  EXPECT_NE(first.out.find("remembered for this device"), std::string::npos) << first.out;
  EXPECT_EQ(remembered().size(), 1u);
  const CommandResult second = train("second", quick);
  EXPECT_EQ(second.out.find("tuned "), std::string::npos) << second.out;
  EXPECT_EQ(read_text("first/device.json"), read_text("second/device.json"));
  EXPECT_EQ(read_text("first/model.safetensors"), read_text("second/model.safetensors"));
  EXPECT_EQ(untimed_metrics("first"), untimed_metrics("second"));
}

TEST_F(Tune, OffMeasuresNothingAndTheRunFolderNamesTheKernels) {
  const CommandResult result = train("run", {"--tune", "off"});
  EXPECT_EQ(result.out.find("tuned "), std::string::npos) << result.out;
  EXPECT_TRUE(remembered().empty());
  const auto kernels = read_json("run/device.json")["kernels"];
  ASSERT_FALSE(kernels.empty());
  EXPECT_TRUE(std::ranges::any_of(kernels, [](const auto& entry) {
    return entry["operation"] == "gemm nt" && entry["shape"].is_string() &&
           entry["kernel"].is_string();
  })) << kernels.dump();
}

TEST_F(Tune, RefusesOtherModes) {
  expect_failure(compute({"train", "tiny.toml", "--tune", "fast"}), 2, {"--tune", "fast"});
  expect_failure(compute({"train", "tiny.toml", "--tune-budget", "-1"}), 2, {"--tune-budget"});
}

}  // namespace
}  // namespace vktrain::testing
