// What the layer keeps in mind of calls that succeeded: who uses what, what was submitted, what has
// ended. Private to the layer.
#pragma once

#include "tests/layer/fault_tables.h"

namespace vktrain::testing {

// `after` has the parameters of the call.
template <auto function>
struct Note {
  template <typename... Arguments>
  static void after(const Arguments&... /*arguments*/) {}
};

#define FAULT_NOTE(name, ...)       \
  template <>                       \
  struct Note<&DeviceTable::name> { \
    static void after(__VA_ARGS__); \
  };
FAULT_NOTE(vkAllocateCommandBuffers, VkDevice device, const VkCommandBufferAllocateInfo* info,
           const VkCommandBuffer* buffers)
FAULT_NOTE(vkAllocateDescriptorSets, VkDevice device, const VkDescriptorSetAllocateInfo* info,
           const VkDescriptorSet* sets)
FAULT_NOTE(vkBeginCommandBuffer, VkCommandBuffer commands, const VkCommandBufferBeginInfo* info)
FAULT_NOTE(vkBindBufferMemory, VkDevice device, VkBuffer buffer, VkDeviceMemory memory,
           VkDeviceSize offset)
FAULT_NOTE(vkCmdBindDescriptorSets, VkCommandBuffer commands, VkPipelineBindPoint point,
           VkPipelineLayout layout, std::uint32_t first, std::uint32_t count,
           const VkDescriptorSet* sets, std::uint32_t offset_count, const std::uint32_t* offsets)
FAULT_NOTE(vkCmdBindPipeline, VkCommandBuffer commands, VkPipelineBindPoint point,
           VkPipeline pipeline)
FAULT_NOTE(vkCmdCopyBuffer, VkCommandBuffer commands, VkBuffer source, VkBuffer destination,
           std::uint32_t count, const VkBufferCopy* regions)
FAULT_NOTE(vkCmdFillBuffer, VkCommandBuffer commands, VkBuffer buffer, VkDeviceSize offset,
           VkDeviceSize size, std::uint32_t word)
FAULT_NOTE(vkCmdResetQueryPool, VkCommandBuffer commands, VkQueryPool pool, std::uint32_t first,
           std::uint32_t count)
FAULT_NOTE(vkCreateBufferView, VkDevice device, const VkBufferViewCreateInfo* info,
           const VkAllocationCallbacks* allocator, const VkBufferView* view)
FAULT_NOTE(vkDeviceWaitIdle, VkDevice device)
FAULT_NOTE(vkQueueSubmit, VkQueue queue, std::uint32_t count, const VkSubmitInfo* infos,
           VkFence fence)
FAULT_NOTE(vkResetCommandPool, VkDevice device, VkCommandPool pool, VkCommandPoolResetFlags flags)
FAULT_NOTE(vkResetFences, VkDevice device, std::uint32_t count, const VkFence* fences)
FAULT_NOTE(vkUpdateDescriptorSets, VkDevice device, std::uint32_t write_count,
           const VkWriteDescriptorSet* writes, std::uint32_t copy_count,
           const VkCopyDescriptorSet* copies)
FAULT_NOTE(vkWaitForFences, VkDevice device, std::uint32_t count, const VkFence* fences,
           VkBool32 all, std::uint64_t nanoseconds)
#undef FAULT_NOTE

}  // namespace vktrain::testing
