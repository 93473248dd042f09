// The edges from user to used, by function.
#include "tests/layer/fault_notes.h"

#include <span>
#include <string>
#include <vector>

#include "tests/layer/fault_layer.h"

namespace vktrain::testing {
namespace {

using Object = UseTracker::Object;

UseTracker& uses() { return FaultLayer::get().uses(); }

Object object(VkBuffer handle) { return {"VkBuffer", number_of(handle)}; }
Object object(VkBufferView handle) { return {"VkBufferView", number_of(handle)}; }
Object object(VkCommandBuffer handle) { return {"VkCommandBuffer", number_of(handle)}; }
Object object(VkCommandPool handle) { return {"VkCommandPool", number_of(handle)}; }
Object object(VkDescriptorPool handle) { return {"VkDescriptorPool", number_of(handle)}; }
Object object(VkDescriptorSet handle) { return {"VkDescriptorSet", number_of(handle)}; }
Object object(VkDeviceMemory handle) { return {"VkDeviceMemory", number_of(handle)}; }
Object object(VkFence handle) { return {"VkFence", number_of(handle)}; }
Object object(VkPipeline handle) { return {"VkPipeline", number_of(handle)}; }
Object object(VkQueryPool handle) { return {"VkQueryPool", number_of(handle)}; }

template <typename User, typename Used>
void add(User user, Used used) {
  uses().add(object(user), object(used));
}

// What was made from a pool is gone with it; the handles come again.
template <typename Handle, typename Pool>
void made_from(std::span<const Handle> handles, Pool pool) {
  for (const Handle handle : handles) {
    uses().forget(object(handle));
    add(handle, pool);
  }
}

}  // namespace

void Note<&DeviceTable::vkAllocateCommandBuffers>::after(VkDevice /*device*/,
                                                         const VkCommandBufferAllocateInfo* info,
                                                         const VkCommandBuffer* buffers) {
  made_from(std::span(buffers, info->commandBufferCount), info->commandPool);
}

void Note<&DeviceTable::vkAllocateDescriptorSets>::after(VkDevice /*device*/,
                                                         const VkDescriptorSetAllocateInfo* info,
                                                         const VkDescriptorSet* sets) {
  made_from(std::span(sets, info->descriptorSetCount), info->descriptorPool);
}

void Note<&DeviceTable::vkBeginCommandBuffer>::after(VkCommandBuffer commands,
                                                     const VkCommandBufferBeginInfo* /*info*/) {
  FaultLayer::get().require_idle(object(commands), "begun");
}

void Note<&DeviceTable::vkBindBufferMemory>::after(VkDevice /*device*/, VkBuffer buffer,
                                                   VkDeviceMemory memory, VkDeviceSize /*offset*/) {
  add(buffer, memory);
}

void Note<&DeviceTable::vkCmdBindDescriptorSets>::after(
    VkCommandBuffer commands, VkPipelineBindPoint /*point*/, VkPipelineLayout /*layout*/,
    std::uint32_t /*first*/, std::uint32_t count, const VkDescriptorSet* sets,
    std::uint32_t /*offset_count*/, const std::uint32_t* /*offsets*/) {
  for (const VkDescriptorSet set : std::span(sets, count)) add(commands, set);
}

void Note<&DeviceTable::vkCmdBindPipeline>::after(VkCommandBuffer commands,
                                                  VkPipelineBindPoint /*point*/,
                                                  VkPipeline pipeline) {
  add(commands, pipeline);
}

void Note<&DeviceTable::vkCmdCopyBuffer>::after(VkCommandBuffer commands, VkBuffer source,
                                                VkBuffer destination, std::uint32_t /*count*/,
                                                const VkBufferCopy* /*regions*/) {
  add(commands, source);
  add(commands, destination);
}

void Note<&DeviceTable::vkCmdFillBuffer>::after(VkCommandBuffer commands, VkBuffer buffer,
                                                VkDeviceSize /*offset*/, VkDeviceSize /*size*/,
                                                std::uint32_t /*word*/) {
  add(commands, buffer);
}

void Note<&DeviceTable::vkCmdResetQueryPool>::after(VkCommandBuffer commands, VkQueryPool pool,
                                                    std::uint32_t /*first*/,
                                                    std::uint32_t /*count*/) {
  add(commands, pool);
}

void Note<&DeviceTable::vkCreateBufferView>::after(VkDevice /*device*/,
                                                   const VkBufferViewCreateInfo* info,
                                                   const VkAllocationCallbacks* /*allocator*/,
                                                   const VkBufferView* view) {
  uses().forget(object(*view));
  add(*view, info->buffer);
}

void Note<&DeviceTable::vkDeviceWaitIdle>::after(VkDevice device) {
  uses().end_all(key_of(device));
}

void Note<&DeviceTable::vkQueueSubmit>::after(VkQueue queue, std::uint32_t count,
                                              const VkSubmitInfo* infos, VkFence fence) {
  std::vector<Object> buffers;
  for (const VkSubmitInfo& info : std::span(infos, count)) {
    for (const VkCommandBuffer commands : std::span(info.pCommandBuffers, info.commandBufferCount))
      buffers.push_back(object(commands));
  }
  uses().submit(key_of(queue), number_of(fence), buffers);
}

void Note<&DeviceTable::vkResetCommandPool>::after(VkDevice /*device*/, VkCommandPool pool,
                                                   VkCommandPoolResetFlags /*flags*/) {
  FaultLayer::get().require_idle(object(pool), "reset");
  uses().reset(object(pool));
}

void Note<&DeviceTable::vkResetFences>::after(VkDevice /*device*/, std::uint32_t count,
                                              const VkFence* fences) {
  for (const VkFence fence : std::span(fences, count)) {
    FaultLayer::get().require_idle(object(fence), "reset");
  }
}

void Note<&DeviceTable::vkUpdateDescriptorSets>::after(VkDevice /*device*/,
                                                       std::uint32_t write_count,
                                                       const VkWriteDescriptorSet* writes,
                                                       std::uint32_t /*copy_count*/,
                                                       const VkCopyDescriptorSet* /*copies*/) {
  for (const VkWriteDescriptorSet& write : std::span(writes, write_count)) {
    FaultLayer::get().require_idle(object(write.dstSet), "written");
    for (std::uint32_t i = 0; i < write.descriptorCount; ++i) {
      if (write.descriptorType == VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER) {
        add(write.dstSet, write.pTexelBufferView[i]);
      } else {
        add(write.dstSet, write.pBufferInfo[i].buffer);
      }
    }
  }
}

void Note<&DeviceTable::vkWaitForFences>::after(VkDevice device, std::uint32_t count,
                                                const VkFence* fences, VkBool32 /*all*/,
                                                std::uint64_t /*nanoseconds*/) {
  for (const VkFence fence : std::span(fences, count)) uses().end(key_of(device), number_of(fence));
}

}  // namespace vktrain::testing
