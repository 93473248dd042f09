// `vktrain kernels`: every kernel of a plan is compiled and told of, on any device.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/apps/command_fixture.h"

namespace vktrain::testing {
namespace {

using Rows = std::map<std::string, nlohmann::json>;  // by kernel

class KernelsCommand : public CommandTest {
 protected:
  static Rows rows(std::vector<std::string> options) {
    std::vector<std::string> arguments = {"kernels", "--format", "json", "--device", test_device()};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const CommandResult result = run_command(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    Rows rows;
    for (const auto& row : nlohmann::json::parse(result.out)) rows[row["kernel"]] = row;
    return rows;
  }
};

TEST_F(KernelsCommand, NamesWhatATrainingNeeds) {
  std::set<std::string> shaders;
  for (const auto& [kernel, row] : rows({"a-fcn-100k"})) {
    std::string shader = kernel.substr(0, kernel.find('<'));
    if (shader.ends_with("_texels")) shader.resize(shader.size() - 7);  // by the device
    shaders.insert(shader);
    EXPECT_EQ(row["chosen"], "yes") << kernel;
    EXPECT_EQ(row["error"], "") << kernel;
    EXPECT_GT(std::stoi(row["workgroup"].get<std::string>()), 0) << kernel;
    EXPECT_TRUE(row["first_use"].get<std::string>().starts_with("a-fcn-100k ")) << row;
  }
  // The loss of the training and that of the evaluation.
  for (const char* shader : {"linear_cross_entropy", "softmax_cross_entropy", "confusion_matrix"}) {
    EXPECT_TRUE(shaders.contains(shader)) << shader;
  }
  // Images, or on some CPU drivers where products find them.
  EXPECT_TRUE(shaders.contains("gather_batch") || shaders.contains("gather_places"));
  // The optimizer, or on some CPU drivers the products that update all weights.
  EXPECT_TRUE(shaders.contains("adam") || shaders.contains("gemm_update_adam"));
}

// The floor has no texel buffers of the size that some kernels need, nor shuffles.
TEST_F(KernelsCommand, LimitsChooseOtherKernels) {
  const Rows own = rows({"a-fcn-100k", "--all", "--limits", "none"});
  const Rows least = rows({"a-fcn-100k", "--all", "--limits", "minimum"});
  ASSERT_FALSE(least.empty());
  const auto needs_shuffles = [](const auto& row) {
    return row.first.find("shuffle") != std::string::npos;
  };
  if (!std::ranges::any_of(own, needs_shuffles)) GTEST_SKIP() << "has no kernel with shuffles";
  for (const auto& [kernel, row] : least) {
    EXPECT_EQ(kernel.find("_texels"), std::string::npos) << kernel;
    EXPECT_EQ(kernel.find("shuffle"), std::string::npos) << kernel;
  }
}

TEST_F(KernelsCommand, AllAddsCandidatesAndKeepsWhatIsChosen) {
  const Rows chosen = rows({"a-fcn-50k"});
  const Rows all = rows({"a-fcn-50k", "--all"});
  EXPECT_GT(all.size(), chosen.size());
  for (const auto& [kernel, row] : all) {
    EXPECT_EQ(row["chosen"], chosen.contains(kernel) ? "yes" : "no") << kernel;
  }
}

TEST_F(KernelsCommand, AnotherBatchSizeIsPlannedToo) {
  const Rows own = rows({"a-fcn-100k"});
  const Rows both = rows({"a-fcn-100k", "--batch-size", "8"});
  std::int64_t more = 0;
  for (const auto& [kernel, row] : own) {
    ASSERT_TRUE(both.contains(kernel)) << kernel;
    more += both.at(kernel)["uses"].get<std::int64_t>() - row["uses"].get<std::int64_t>();
  }
  EXPECT_GT(more, 0);
}

TEST_F(KernelsCommand, SpillsCanOnlyBeJudgedWhereTheDriverTells) {
  const std::string device = test_device();
  const CommandResult table = run_command({"kernels", "a-fcn-100k", "--device", device});
  EXPECT_EQ(table.code, 0) << table.err;
  const bool told = table.out.find("does not tell of registers") == std::string::npos;
  EXPECT_EQ(table.out.find("VGPRs") != std::string::npos, told);
  const CommandResult judged =
      run_command({"kernels", "a-fcn-100k", "--device", device, "--fail-on-spills"});
  if (told) {
    EXPECT_EQ(judged.code, 0) << judged.err;
  } else {
    expect_failure(judged, 1, {"--fail-on-spills", "VK_KHR_pipeline_executable_properties"});
  }
}

TEST_F(KernelsCommand, WrongUsageIsNamed) {
  test_device();
  expect_failure(run_command({"kernels", "a-fcn-1k"}), 2, {"a-fcn-1k"});
  expect_failure(run_command({"kernels", "--format", "xml"}), 2, {"--format", "xml"});
  expect_failure(run_command({"kernels", "a-fcn-100k", "--batch-size", "0"}), 2, {"--batch-size"});
}

}  // namespace
}  // namespace vktrain::testing
