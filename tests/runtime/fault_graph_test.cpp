// A command graph whose driver fails: each call of its life in turn, a device that is lost, a
// kernel that is refused. Every one ends in one error that names the subject, and with everything
// released.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"
#include "tests/layer/fault_fixture.h"
#include "tests/runtime/graph_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using vktrain::testing::fail_once;
using vktrain::testing::FaultCall;
using vktrain::testing::FaultHooks;
using vktrain::testing::lose_device;

class FaultyGraph : public vktrain::testing::FaultTest {
 protected:
  // Writes one more than `source` into `destination`, 100 numbers.
  static Dispatch add_one(const Slice& source, const Slice& destination) {
    Dispatch dispatch;
    dispatch.label = "add one to " + source.buffer->name();
    dispatch.kernel = {"add_constant", {64, 1}};
    dispatch.bindings = {{source, Access::read}, {destination, Access::write}};
    dispatch.push = {std::byte{100}, std::byte{0}, std::byte{0}, std::byte{0}};
    dispatch.groups = {2, 1, 1};
    return dispatch;
  }

  // Adds two to a hundred numbers, three times.
  static void run_graph(bool profile) {
    const auto device = open();
    vktrain::testing::add_test_shaders(*device);
    Arena arena(*device, "test");
    const Slice x = arena.allocate(400, "x");
    const Slice y = arena.allocate(400, "y");
    CommandGraph graph(*device, profile);
    graph.add(add_one(x, y));
    graph.add(add_one(y, x));
    graph.record();
    for (int i = 0; i < 3; ++i) graph.submit();
    graph.wait();
    std::vector<std::uint32_t> found(100);
    device->download(x, std::as_writable_bytes(std::span(found)));
    EXPECT_EQ(found, std::vector<std::uint32_t>(100, 6));
  }

  template <typename Expected>
  static std::string error_of_graph(bool profile) {
    try {
      run_graph(profile);
    } catch (const Expected& error) {
      return error.what();
    } catch (const std::exception& error) {
      return std::string("another kind of error: ") + error.what();
    }
    return "";
  }

  // The number of the first call of `function` after the set-up of the graph.
  std::uint64_t last_call(const std::string& function, bool profile) {
    layer().reset();
    run_graph(profile);
    return layer().calls(function);
  }
};

TEST_F(FaultyGraph, ThatLosesTheDeviceNamesItsDispatches) {
  struct Case {
    const char* function;
    std::uint64_t calls_after;  // of the graph's last one: downloads
    bool profile;
  };
  for (const Case& c : {Case{"vkQueueSubmit", 1, false}, Case{"vkWaitForFences", 1, false},
                        Case{"vkQueueSubmit", 1, true}, Case{"vkGetQueryPoolResults", 0, true}}) {
    const std::uint64_t last = last_call(c.function, c.profile);
    for (std::uint64_t back = 0; back < 3; ++back) {
      layer().reset(lose_device(c.function, last - c.calls_after - back));
      EXPECT_THAT(error_of_graph<DeviceLostError>(c.profile),
                  AllOf(HasSubstr("was lost while it ran 2 dispatches"),
                        HasSubstr("add one to test/x, add one to test/y"),
                        HasSubstr("submit less work at a time")))
          << c.function << " " << back;
      vktrain::testing::expect_all_released(c.function);
    }
  }
}

TEST_F(FaultyGraph, ThatLosesTheDeviceInATransferNamesTheBuffer) {
  const std::uint64_t last = last_call("vkQueueSubmit", false);
  layer().reset(lose_device("vkQueueSubmit", last));
  EXPECT_THAT(
      error_of_graph<DeviceLostError>(false),
      AllOf(HasSubstr("transfer of buffer \"test/x\": device lost"), HasSubstr("start again")));
}

// Of the functions that can fail for want of memory, each call in turn.
TEST_F(FaultyGraph, ThatFailsAtAnyCallSaysSoAndReleasesAll) {
  for (const char* function :
       {"vkWaitForFences", "vkQueueSubmit", "vkResetFences", "vkBeginCommandBuffer",
        "vkEndCommandBuffer", "vkResetCommandPool", "vkBindBufferMemory", "vkCreateQueryPool",
        "vkGetQueryPoolResults", "vkCreateDescriptorSetLayout", "vkCreatePipelineLayout"}) {
    std::uint64_t failures = 0;
    for (std::uint64_t number = 1;; ++number) {
      layer().reset(fail_once(function, number, VK_ERROR_OUT_OF_HOST_MEMORY));
      const std::string error = error_of_graph<DeviceError>(true);
      if (layer().calls(function) < number) break;
      ++failures;
      EXPECT_THAT(error, AllOf(HasSubstr("out of host memory"), HasSubstr("free memory")))
          << function << " " << number;
      vktrain::testing::expect_all_released(function);
    }
    EXPECT_GT(failures, 0u) << function;
  }
}

// Nobody waits: the buffers are destroyed first, or the graph.
TEST_F(FaultyGraph, OrBufferThatIsDestroyedWhileItIsInUseWaits) {
  for (const bool buffers_first : {false, true}) {
    const auto device = open();
    vktrain::testing::add_test_shaders(*device);
    auto arena = std::make_unique<Arena>(*device, "test");
    auto graph = std::make_unique<CommandGraph>(*device);
    graph->add(add_one(arena->allocate(400, "x"), arena->allocate(400, "y")));
    graph->record();
    for (int i = 0; i < 2; ++i) graph->submit();
    if (buffers_first) arena.reset();
    graph.reset();
    EXPECT_EQ(layer().problems(), std::vector<std::string>()) << buffers_first;
  }
}

TEST_F(FaultyGraph, ThatCannotCompileNamesKernelAndDevice) {
  for (const VkResult result : {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_INITIALIZATION_FAILED,
                                VK_ERROR_UNKNOWN, VK_PIPELINE_COMPILE_REQUIRED}) {
    FaultHooks hooks;
    const auto shader = [](const FaultCall& call, std::span<const std::uint32_t> code) {
      return std::ranges::equal(call.code, code);
    };
    hooks.on_call = [=](const FaultCall& call) {
      const bool theirs = call.function == "vkCreateComputePipelines" &&
                          !shader(call, shader_code("subgroup_check"));
      return theirs ? result : VK_SUCCESS;
    };
    layer().reset(hooks);
    EXPECT_THAT(error_of_graph<DeviceError>(false),
                AllOf(HasSubstr("kernel add_constant<64,1>: the driver of \""),
                      HasSubstr("refused the pipeline: ")))
        << result;
    vktrain::testing::expect_all_released("refused pipeline");
  }
}

}  // namespace
}  // namespace vktrain::runtime
