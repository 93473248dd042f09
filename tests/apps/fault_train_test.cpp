// Trainings on a driver that runs out of memory at each of its calls, or loses the device: exit
// code 1, one line that says what and what to do, nothing half-written, nothing left of the
// driver's.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "tests/apps/command_fixture.h"
#include "tests/layer/fault_fixture.h"

namespace vktrain::testing {
namespace {

namespace fs = std::filesystem;

class FaultyTraining : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    std::ofstream("small.toml") << R"(
id = "small"
[model]
layers = ["flatten", "linear 10"]
[training]
epochs = 2
batch_size = 100
test_batch_size = 70
[optimizer]
kind = "sgd"
learning_rate = 0.01
)";
  }

  CommandResult train(FaultHooks hooks, const std::vector<std::string>& more = {}) {
    fs::remove_all("run");
    guard_.layer().reset(std::move(hooks));
    std::vector<std::string> arguments = {"train", "small.toml", "--run-dir",
                                          "run",   "--progress", "none"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return compute(arguments);
  }

  // What there is of the run folder can be read, and nothing says that the training has ended.
  static void expect_whole_files(const std::string& when) {
    if (!fs::exists("run")) return;
    for (const auto& entry : fs::directory_iterator("run")) {
      const std::string name = entry.path().filename().string();
      EXPECT_FALSE(name.starts_with(".")) << when << ": " << name;
      EXPECT_FALSE(name == "result.json" || name == "model.safetensors") << when << ": " << name;
      if (entry.path().extension() == ".json") read_json(entry.path());
      if (entry.path().extension() == ".jsonl") read_json_lines(entry.path());
    }
  }

  void expect_one_error(const CommandResult& result, const std::vector<std::string_view>& parts,
                        const std::string& when) {
    SCOPED_TRACE(when);
    expect_failure(result, 1, parts);
    expect_all_released(when);
    expect_whole_files(when);
  }

  FaultGuard guard_;
};

struct Shortage {
  const char* function;
  VkResult result;
  std::vector<std::string_view> parts;  // of every message
  std::uint64_t step = 1;               // not every call where many are alike
};
void PrintTo(const Shortage& shortage, std::ostream* out) { *out << shortage.function; }

class OutOfMemory : public FaultyTraining, public ::testing::WithParamInterface<Shortage> {};

TEST_P(OutOfMemory, AtAnyCallEndsInOneError) {
  const Shortage& shortage = GetParam();
  std::uint64_t failures = 0;
  for (std::uint64_t number = 1;; number += shortage.step) {
    const CommandResult result =
        train(fail_once(shortage.function, number, shortage.result), {"--tune", "off"});
    if (guard_.layer().calls(shortage.function) < number) {
      EXPECT_EQ(result.code, 0) << result.err;
      break;
    }
    ++failures;
    expect_one_error(result, shortage.parts,
                     std::string(shortage.function) + " " + std::to_string(number));
  }
  EXPECT_GT(failures, 0u);
}

constexpr std::string_view kNoMemory = "out of device memory";
constexpr std::string_view kWayOut = "free memory that other programs hold";

INSTANTIATE_TEST_SUITE_P(
    Calls, OutOfMemory,
    ::testing::Values(
        Shortage{"vkAllocateMemory", VK_ERROR_OUT_OF_DEVICE_MEMORY, {kNoMemory, kWayOut, "iB"}, 2},
        Shortage{"vkCreateBuffer", VK_ERROR_OUT_OF_DEVICE_MEMORY, {kNoMemory, kWayOut, "iB"}, 2},
        Shortage{"vkCreateBufferView",
                 VK_ERROR_OUT_OF_DEVICE_MEMORY,
                 {kNoMemory, kWayOut, "texel buffer of ", " bytes of buffer \""}},
        Shortage{"vkCreateDescriptorPool",
                 VK_ERROR_OUT_OF_DEVICE_MEMORY,
                 {kNoMemory, kWayOut, "descriptor pool for "}},
        Shortage{"vkAllocateDescriptorSets",
                 VK_ERROR_OUT_OF_POOL_MEMORY,
                 {"out of pool memory", kWayOut, "descriptor sets for "}},
        Shortage{"vkCreateCommandPool",
                 VK_ERROR_OUT_OF_DEVICE_MEMORY,
                 {kNoMemory, kWayOut, "command pool"}},
        Shortage{"vkAllocateCommandBuffers",
                 VK_ERROR_OUT_OF_DEVICE_MEMORY,
                 {kNoMemory, kWayOut, "command buffer"}},
        Shortage{"vkCreateFence", VK_ERROR_OUT_OF_DEVICE_MEMORY, {kNoMemory, kWayOut, "fence"}, 3},
        Shortage{"vkMapMemory", VK_ERROR_MEMORY_MAP_FAILED, {"memory map failed", kWayOut, "KiB"}},
        Shortage{"vkCreatePipelineCache",
                 VK_ERROR_OUT_OF_HOST_MEMORY,
                 {"out of host memory", kWayOut, "pipeline cache"}},
        Shortage{"vkCreateDevice",
                 VK_ERROR_OUT_OF_DEVICE_MEMORY,
                 {kNoMemory, kWayOut, "opening the Vulkan device"}},
        Shortage{"vkCreateInstance",
                 VK_ERROR_OUT_OF_HOST_MEMORY,
                 {"out of host memory", kWayOut, "instance"}}),
    [](const auto& shortage) { return std::string(shortage.param.function); });

TEST_F(FaultyTraining, ASinglePipelineThatFailsIsTriedAgain) {
  const CommandResult result = train(
      fail_once("vkCreateComputePipelines", 3, VK_ERROR_OUT_OF_HOST_MEMORY), {"--tune", "off"});
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST_F(FaultyTraining, ThatLosesTheDeviceSaysWhatRan) {
  ASSERT_EQ(train({}, {"--tune", "off"}).code, 0);
  for (const char* function : {"vkQueueSubmit", "vkWaitForFences"}) {
    ASSERT_EQ(train({}, {"--tune", "off"}).code, 0);
    const std::uint64_t calls = guard_.layer().calls(function);
    std::size_t while_running = 0;
    for (std::uint64_t number = 1; number <= calls; number += 10) {
      const CommandResult result = train(lose_device(function, number), {"--tune", "off"});
      expect_one_error(result, {"lost", "start again"},
                       std::string(function) + " " + std::to_string(number));
      while_running += result.err.find("was lost while it ran") != std::string::npos ? 1 : 0;
    }
    EXPECT_GT(while_running, 0u) << function;
  }
}

TEST_F(FaultyTraining, ThatLosesTheDeviceWhileItIsProfiledSaysWhatRan) {
  const std::vector<std::string> profile = {"--tune", "off", "--profile"};
  expect_one_error(train(lose_device("vkGetQueryPoolResults", 2), profile),
                   {"was lost while it ran", "1 gemm nt", "start again"}, "profile");
}

TEST_F(FaultyTraining, ThatLosesTheDeviceWhileItIsTunedBlamesNoKernel) {
  const std::vector<std::string> tune = {"--tune", "quick"};
  const ScopedVariable cache("VKTRAIN_CACHE_DIR", (folder_.path() / "cache").c_str());
  ASSERT_EQ(train({}, {"--tune", "off"}).code, 0);
  // The first submissions check the subgroup and fill buffers; the tuner comes after.
  std::size_t while_running = 0;
  for (std::uint64_t number = 8; number < 60; number += 5) {
    const CommandResult result = train(lose_device("vkQueueSubmit", number), tune);
    expect_one_error(result, {"lost", "start again"}, "tuning");
    EXPECT_EQ(guard_.layer().calls("vkQueueSubmit"), number) << "more was submitted after the loss";
    while_running += result.err.find("gemm nt 100") != std::string::npos ? 1 : 0;
    if (!fs::exists("cache")) continue;
    for (const auto& entry : fs::directory_iterator("cache")) {
      EXPECT_FALSE(entry.path().filename().string().starts_with("kernels-")) << entry.path();
    }
  }
  EXPECT_GT(while_running, 0u);
}

}  // namespace
}  // namespace vktrain::testing
