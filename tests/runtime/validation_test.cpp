// A fault planted for each kind of check of the validation layer. Without these tests, the silence
// that all others ask for could also mean that a check is off or that its messages do not arrive.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/device_impl.h"
#include "runtime/memory.h"
#include "runtime/memory_impl.h"
#include "tests/runtime/graph_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class ValidationTest : public vktrain::testing::GraphTest {
 protected:
  void SetUp() override {
    GraphTest::SetUp();
    if (!device().validating()) GTEST_SKIP() << "the validation layer is turned off";
  }

  // Another device under these checks; what they say is in heard().
  Device& open(ValidationChecks checks) {
    other_ = Device::open(
        {.selector = std::to_string(device().profile().index),
         .validate = true,
         .checks = checks,
         .on_validation_message = [this](std::string_view m) { heard_.emplace_back(m); }});
    vktrain::testing::add_test_shaders(*other_);
    return *other_;
  }
  const std::vector<std::string>& heard() const { return heard_; }

 private:
  std::vector<std::string> heard_;
  std::unique_ptr<Device> other_;
};

// The shader reads a push constant that nothing sets.
TEST_F(ValidationTest, CoreChecksArrive) {
  Device& other = open(ValidationChecks::core);
  Buffer x(other, 256, "x"), y(other, 256, "y");
  Dispatch dispatch = elementwise("add_constant", 3, {&x, 0, 256}, {&y, 0, 256});
  dispatch.push.clear();
  CommandGraph graph(other);
  graph.add(dispatch);
  graph.record();
  EXPECT_THAT(heard(), Contains(HasSubstr("push")));
  EXPECT_EQ(heard(), other.validation_messages());
}

// Records two fills of one buffer, the barrier between them or not.
void record_fills(Device& device, bool barrier) {
  const LogicalDevice& logical = *device.impl().logical;
  const DeviceFunctions& vk = logical.vk();
  Buffer buffer(device, 256, "filled twice");
  VkCommandPoolCreateInfo pool_info{.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .pNext = nullptr,
                                    .flags = 0,
                                    .queueFamilyIndex = logical.queue_family()};
  VkCommandPool pool = VK_NULL_HANDLE;
  ASSERT_EQ(vk.vkCreateCommandPool(logical.handle(), &pool_info, nullptr, &pool), VK_SUCCESS);
  VkCommandBufferAllocateInfo info{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                   .pNext = nullptr,
                                   .commandPool = pool,
                                   .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                   .commandBufferCount = 1};
  VkCommandBuffer commands = VK_NULL_HANDLE;
  EXPECT_EQ(vk.vkAllocateCommandBuffers(logical.handle(), &info, &commands), VK_SUCCESS);
  const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                       .pNext = nullptr,
                                       .flags = 0,
                                       .pInheritanceInfo = nullptr};
  const VkMemoryBarrier written{.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                .pNext = nullptr,
                                .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                .dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT};
  const VkBuffer handle = buffer.impl().bound.buffer.get();
  EXPECT_EQ(vk.vkBeginCommandBuffer(commands, &begin), VK_SUCCESS);
  vk.vkCmdFillBuffer(commands, handle, 0, 256, 1);
  if (barrier) {
    vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                            VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &written, 0, nullptr, 0, nullptr);
  }
  vk.vkCmdFillBuffer(commands, handle, 0, 256, 2);
  EXPECT_EQ(vk.vkEndCommandBuffer(commands), VK_SUCCESS);
  vk.vkDestroyCommandPool(logical.handle(), pool, nullptr);
}

TEST_F(ValidationTest, SynchronizationChecksSeeAMissingBarrier) {
  Device& other = open(ValidationChecks::synchronization);
  record_fills(other, true);
  EXPECT_THAT(heard(), Not(Contains(HasSubstr("SYNC-HAZARD"))));
  record_fills(other, false);
  EXPECT_THAT(heard(), Contains(HasSubstr("SYNC-HAZARD-WRITE-AFTER-WRITE")));
}

// The push constant says 64 elements, the bindings hold 4.
TEST_F(ValidationTest, GpuAssistedChecksSeeAnAccessBeyondABuffer) {
  Device& other = open(ValidationChecks::gpu_assisted);
  Buffer x(other, 16, "x"), y(other, 16, "y");
  for (const std::uint32_t count : {4u, 64u}) {
    Dispatch dispatch = elementwise("add_constant", 3, {&x, 0, 16}, {&y, 0, 16});
    dispatch.push = push({count});
    CommandGraph graph(other);
    graph.add(dispatch);
    graph.record();
    graph.run();
    EXPECT_EQ(::testing::Matches(Contains(HasSubstr("out of bounds")))(heard()), count == 64)
        << count;
  }
}

// An allocation of 256 bytes is allowed, and one of the few messages that tests let pass.
TEST_F(ValidationTest, BestPracticesArrive) {
  Device& other = open(ValidationChecks::best_practices);
  const Buffer small(other, 256, "small");
  EXPECT_THAT(heard(), Contains(HasSubstr("BestPractices-vkAllocateMemory-small-allocation")));
}

}  // namespace
}  // namespace vktrain::runtime
