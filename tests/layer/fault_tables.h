// The functions below the layer, by instance and by device. Private to the layer.
#pragma once

#include <vulkan/vulkan_core.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string_view>

namespace vktrain::testing {

// Functions that make, end or use objects of a device, by how they are wrapped. Those that are
// noted cannot fail.
#define FAULT_CREATED(X) \
  X(Buffer)              \
  X(BufferView)          \
  X(CommandPool)         \
  X(DescriptorPool) X(DescriptorSetLayout) X(Fence) X(PipelineCache) X(PipelineLayout) X(QueryPool)
#define FAULT_CALLED(X)       \
  X(vkAllocateCommandBuffers) \
  X(vkAllocateDescriptorSets) \
  X(vkBeginCommandBuffer)     \
  X(vkBindBufferMemory)       \
  X(vkDeviceWaitIdle)         \
  X(vkEndCommandBuffer)       \
  X(vkGetPipelineCacheData)   \
  X(vkGetQueryPoolResults)    \
  X(vkMapMemory)              \
  X(vkQueueSubmit)            \
  X(vkResetCommandPool)       \
  X(vkResetFences)            \
  X(vkWaitForFences)
#define FAULT_NOTED(X)       \
  X(vkCmdBindDescriptorSets) \
  X(vkCmdBindPipeline)       \
  X(vkCmdCopyBuffer)         \
  X(vkCmdFillBuffer)         \
  X(vkCmdResetQueryPool)     \
  X(vkUpdateDescriptorSets)
#define FAULT_OWN(X)          \
  X(vkAllocateMemory)         \
  X(vkCreateComputePipelines) \
  X(vkCreateShaderModule)     \
  X(vkDestroyDevice)          \
  X(vkDestroyPipeline)        \
  X(vkDestroyShaderModule)    \
  X(vkFreeMemory)             \
  X(vkGetBufferMemoryRequirements)
#define FAULT_INSTANCE(X)                 \
  X(vkCreateDevice)                       \
  X(vkDestroyInstance)                    \
  X(vkEnumerateDeviceExtensionProperties) \
  X(vkEnumeratePhysicalDevices)           \
  X(vkGetPhysicalDeviceMemoryProperties)  \
  X(vkGetPhysicalDeviceProperties)        \
  X(vkGetPhysicalDeviceProperties2)       \
  X(vkGetPhysicalDeviceQueueFamilyProperties)

#define FAULT_MEMBER(name) PFN_##name name = nullptr;
#define FAULT_PAIR(type)                       \
  PFN_vkCreate##type vkCreate##type = nullptr; \
  PFN_vkDestroy##type vkDestroy##type = nullptr;
struct InstanceTable {
  VkInstance instance = VK_NULL_HANDLE;
  PFN_vkGetInstanceProcAddr next = nullptr;
  FAULT_INSTANCE(FAULT_MEMBER)
};
struct DeviceTable {
  VkDevice device = VK_NULL_HANDLE;
  PFN_vkGetDeviceProcAddr next = nullptr;
  FAULT_CREATED(FAULT_PAIR)
  FAULT_CALLED(FAULT_MEMBER)
  FAULT_NOTED(FAULT_MEMBER)
  FAULT_OWN(FAULT_MEMBER)
};

// The loader's dispatch table, the first word of a dispatchable object, tells whose it is.
template <typename Handle>
const void* key_of(Handle handle) {
  return *reinterpret_cast<void* const*>(handle);
}

template <typename Table>
class Tables {
 public:
  template <typename Handle>
  Table& of(Handle handle) {
    const std::lock_guard lock(mutex_);
    return tables_[key_of(handle)];
  }
  void erase(const void* key) {
    const std::lock_guard lock(mutex_);
    tables_.erase(key);
  }

 private:
  std::mutex mutex_;
  std::map<const void*, Table> tables_;
};

Tables<InstanceTable>& instances();
Tables<DeviceTable>& devices();

// The layer's own function of that name; null when it has none.
PFN_vkVoidFunction own_device_function(std::string_view name);
PFN_vkVoidFunction own_instance_function(std::string_view name);

template <typename Handle>
std::uint64_t number_of(Handle handle) {
  return reinterpret_cast<std::uint64_t>(handle);
}

template <typename Function>
PFN_vkVoidFunction erased(Function function) {
  return reinterpret_cast<PFN_vkVoidFunction>(function);
}

}  // namespace vktrain::testing
