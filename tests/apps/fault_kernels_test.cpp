// Trainings on a driver that refuses kernels or computes them wrongly: another kernel is taken and
// told, and the training is right; where there is no other, one error.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>

#include "runtime/kernel.h"
#include "tests/apps/command_fixture.h"
#include "tests/layer/fault_fixture.h"

namespace vktrain::testing {
namespace {

// The calls of vkCreateComputePipelines for these shaders fail.
FaultHooks refuse_shaders(std::vector<std::string_view> prefixes, VkResult result) {
  std::vector<std::string_view> names = runtime::shader_names();
  std::erase_if(names, [&](std::string_view name) {
    return std::ranges::none_of(prefixes, [&](auto prefix) { return name.starts_with(prefix); });
  });
  FaultHooks hooks;
  hooks.on_call = [=](const FaultCall& call) {
    if (call.function != "vkCreateComputePipelines") return VK_SUCCESS;
    const bool theirs =
        std::ranges::any_of(names, [&](auto name) { return is_shader(call.code, name); });
    return theirs ? result : VK_SUCCESS;
  };
  return hooks;
}

// Every shuffle gives the lane its own value: OpGroupNonUniformShuffle becomes OpCopyObject.
void break_shuffles(std::vector<std::uint32_t>& code) {
  constexpr std::uint32_t kShuffle = 345, kCopy = 83 | 4 << 16, kNop = 1 << 16;
  for (std::size_t i = 5; i < code.size(); i += code[i] >> 16) {
    if ((code[i] & 0xffff) != kShuffle) continue;
    // Type, result, scope, value, lane.
    const std::uint32_t value = code[i + 4];
    code[i] = kCopy;
    code[i + 3] = value;
    code[i + 4] = kNop;
    code[i + 5] = kNop;
  }
}

class FaultyKernels : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    cache_ =
        std::make_unique<ScopedVariable>("VKTRAIN_CACHE_DIR", (folder_.path() / "cache").c_str());
  }

  // Tuning has time for every contest.
  CommandResult train(const std::string& folder, FaultHooks hooks, const std::string& tune,
                      const std::string& experiment = "tiny.toml") {
    guard_.layer().reset(std::move(hooks));
    return compute({"train", experiment, "--run-dir", folder, "--progress", "none", "--tune", tune,
                    "--tune-budget", "3600"});
  }

  // Whether the run used a kernel with these words in its name, for operations with those in
  // theirs.
  static bool uses(const std::string& folder, std::string_view kernel,
                   std::string_view operation = "") {
    const nlohmann::json device = read_json(folder + "/device.json");
    EXPECT_FALSE(device["kernels"].empty());
    const auto has = [](const nlohmann::json& text, std::string_view part) {
      return text.get<std::string>().find(part) != std::string::npos;
    };
    return std::ranges::any_of(device["kernels"], [&](const nlohmann::json& entry) {
      return has(entry["kernel"], kernel) && has(entry["operation"], operation);
    });
  }

  // The runs' last losses are equal but for roundings.
  static void expect_same_training(const std::string& a, const std::string& b) {
    const double x = read_json_lines(a + "/metrics.jsonl").back()["train_loss"];
    const double y = read_json_lines(b + "/metrics.jsonl").back()["train_loss"];
    EXPECT_LT(std::abs(x - y), 1e-4 * std::abs(x)) << x << " and " << y;
  }

  bool shuffles_here() {
    const CommandResult result = train("healthy", {}, "off");
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return uses("healthy", "shuffle");
  }

  FaultGuard guard_;

 private:
  std::unique_ptr<ScopedVariable> cache_;
};

TEST_F(FaultyKernels, ARefusedProposalIsReplacedByTheNextCandidate) {
  if (!shuffles_here()) GTEST_SKIP() << "the proposals have no shader of their own here";
  for (const VkResult refusal : {VK_ERROR_INITIALIZATION_FAILED, VK_PIPELINE_COMPILE_REQUIRED}) {
    const std::string folder = "run" + std::to_string(refusal);
    const CommandResult result = train(folder, refuse_shaders({"gemm_shuffle"}, refusal), "off");
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.err.find("vktrain: tuning: gemm nt "), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("\" is taken instead of \"shuffle "), std::string::npos)
        << result.err;
    EXPECT_NE(result.err.find("refused the pipeline"), std::string::npos) << result.err;
    EXPECT_FALSE(uses(folder, "shuffle"));
    expect_same_training("healthy", folder);
    expect_all_released("refused proposal");
  }
}

// The product keeps its kernel, the optimizer becomes a dispatch of its own.
TEST_F(FaultyKernels, ARefusedWeightUpdateIsDoneApart) {
  std::string wide = read_text("tiny.toml");
  wide.replace(wide.find("linear 16"), 9, "linear 32");
  std::ofstream("wide.toml") << wide;
  EXPECT_EQ(train("healthy", {}, "off", "wide.toml").code, 0);
  if (!uses("healthy", "merged", "update")) GTEST_SKIP() << "no product updates weights here";
  const CommandResult result =
      train("run", refuse_shaders({"gemm_update"}, VK_ERROR_UNKNOWN), "off", "wide.toml");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("gemm update adam 32x784x48: \"apart\" is taken instead of \"merged\""),
            std::string::npos)
      << result.err;
  EXPECT_FALSE(uses("run", "merged", "update"));
  EXPECT_TRUE(uses("run", "apart", "update"));
  EXPECT_FALSE(uses("run", "register"));
  expect_same_training("healthy", "run");
}

// Products that update weights and biases are not split; nor are those that take their place.
TEST_F(FaultyKernels, RefusedWholeProductsAreReplacedToo) {
  std::string plain = read_text("tiny.toml");
  plain.replace(plain.find("\"batch_norm\", "), 14, "");
  plain.replace(plain.find("batch_size = 48"), 15, "batch_size = 160");
  std::ofstream("plain.toml") << plain;
  EXPECT_EQ(train("healthy", {}, "off", "plain.toml").code, 0);
  if (!uses("healthy", "merged", "update")) GTEST_SKIP() << "no product updates weights here";
  for (const std::string tune : {"off", "quick"}) {
    const CommandResult result =
        train("run-" + tune, refuse_shaders({"gemm_update", "gemm_shuffle"}, VK_ERROR_UNKNOWN),
              tune, "plain.toml");
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.err.find("gemm tn whole 10x16x160: "), std::string::npos) << result.err;
    EXPECT_FALSE(uses("run-" + tune, "shuffle"));
    expect_same_training("healthy", "run-" + tune);
  }
}

// Products that may not read the images in the data set keep their tiles, and store the batch.
TEST_F(FaultyKernels, ARefusedGatheringStoresTheBatch) {
  if (!shuffles_here()) GTEST_SKIP() << "no product gathers here";
  EXPECT_TRUE(uses("healthy", "gathered", "of a batch"));
  for (const std::string tune : {"off", "quick"}) {
    const CommandResult result =
        train("run-" + tune, refuse_shaders({"gemm_shuffle_nt_gathered"}, VK_ERROR_UNKNOWN), tune);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.err.find("gemm nt of a batch 48x16x784: \"stored\" is taken instead of"),
              std::string::npos)
        << result.err;
    EXPECT_TRUE(uses("run-" + tune, "stored", "gemm nt of a batch"));
    EXPECT_TRUE(uses("run-" + tune, "shuffle", "gemm nt"));
    EXPECT_FALSE(uses("run-" + tune, "register"));
    expect_same_training("healthy", "run-" + tune);
  }
}

// The product, the loss and the product are three dispatches again.
TEST_F(FaultyKernels, ARefusedLossIsDoneApart) {
  EXPECT_EQ(train("healthy", {}, "off").code, 0);
  EXPECT_TRUE(uses("healthy", "merged", "cross-entropy"));
  EXPECT_FALSE(uses("healthy", "", "gemm nn"));
  for (const std::string tune : {"off", "quick"}) {
    const CommandResult result =
        train("run-" + tune, refuse_shaders({"linear_cross_entropy"}, VK_ERROR_UNKNOWN), tune);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.err.find("linear cross-entropy 48x10x16: "), std::string::npos) << result.err;
    EXPECT_TRUE(uses("run-" + tune, "apart", "cross-entropy"));
    EXPECT_FALSE(uses("run-" + tune, "merged", "cross-entropy"));
    EXPECT_TRUE(uses("run-" + tune, "", "gemm nn"));
    expect_same_training("healthy", "run-" + tune);
  }
}

TEST_F(FaultyKernels, ARefusedCandidateLosesTheContest) {
  if (!shuffles_here()) GTEST_SKIP() << "the proposals have no shader of their own here";
  const CommandResult result =
      train("run", refuse_shaders({"gemm_shuffle"}, VK_ERROR_UNKNOWN), "quick");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("does not run: kernel gemm_shuffle"), std::string::npos) << result.err;
  EXPECT_FALSE(uses("run", "shuffle"));
  expect_same_training("healthy", "run");
}

TEST_F(FaultyKernels, WithoutAnyCandidateTheErrorNamesKernelAndDevice) {
  for (const std::string tune : {"off", "quick"}) {
    const CommandResult result =
        train("run", refuse_shaders({"gemm_"}, VK_ERROR_OUT_OF_HOST_MEMORY), tune);
    EXPECT_EQ(result.code, 1);
    const std::size_t error = result.err.find("vktrain: error: ");
    ASSERT_NE(error, std::string::npos) << result.err;
    for (const char* part : {"kernel gemm_", "the driver of \"", "out of host memory"}) {
      EXPECT_NE(result.err.find(part, error), std::string::npos) << part << ": " << result.err;
    }
    expect_all_released("no candidate");
  }
}

TEST_F(FaultyKernels, ARefusedBaselineEndsInOneError) {
  const CommandResult result =
      train("run", refuse_shaders({"softmax_cross_entropy"}, VK_ERROR_UNKNOWN), "off");
  expect_failure(result, 1,
                 {"kernel softmax_cross_entropy<", "the driver of \"", "refused the pipeline",
                  "update the driver or choose another device"});
  expect_all_released("refused baseline");
}

TEST_F(FaultyKernels, ShufflesThatLieAreFoundWhenTheDeviceIsOpened) {
  if (!shuffles_here()) GTEST_SKIP() << "no kernel that shuffles is used here";
  FaultHooks hooks;
  hooks.edit_code = break_shuffles;
  const CommandResult result = train("run", hooks, "off");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("gets wrong values by a shuffle"), std::string::npos) << result.err;
  EXPECT_FALSE(uses("run", "shuffle"));
  expect_same_training("healthy", "run");
}

TEST_F(FaultyKernels, ASubgroupOfAnotherSizeIsFoundWhenTheDeviceIsOpened) {
  if (!shuffles_here()) GTEST_SKIP() << "no kernel that shuffles is used here";
  const std::uint32_t lanes = read_json("healthy/device.json")["device"]["subgroup_size"];
  FaultHooks hooks;
  hooks.edit_subgroup = [](VkPhysicalDeviceSubgroupProperties& subgroup) {
    subgroup.subgroupSize *= 2;
  };
  const CommandResult result = train("run", hooks, "off");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("a subgroup has " + std::to_string(lanes) + " lanes instead of"),
            std::string::npos)
      << result.err;
  EXPECT_FALSE(uses("run", "shuffle"));
}

TEST_F(FaultyKernels, KernelsThatComputeWronglyFailTheTunersCheck) {
  if (!shuffles_here()) GTEST_SKIP() << "no kernel that shuffles is used here";
  FaultHooks hooks;
  hooks.edit_code = [](std::vector<std::uint32_t>& code) {
    if (!is_shader(code, "subgroup_check")) break_shuffles(code);
  };
  const CommandResult result = train("run", hooks, "quick");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("WRONG RESULTS: \"shuffle "), std::string::npos) << result.err;
  EXPECT_FALSE(uses("run", "shuffle"));
  expect_same_training("healthy", "run");
}

}  // namespace
}  // namespace vktrain::testing
