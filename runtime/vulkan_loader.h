// The Vulkan loader, instances and function tables. Private to the runtime room.
// The loader library is opened at run time (volk), once per process; every Instance and every
// LogicalDevice has its own table of entry points, so that devices with and without the validation
// layer can live side by side.
#pragma once

#include <volk.h>

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/validation_checks.h"

namespace vktrain::runtime {

#define VKTRAIN_INSTANCE_FUNCTIONS(X)         \
  X(vkCreateDevice)                           \
  X(vkDestroyInstance)                        \
  X(vkEnumerateDeviceExtensionProperties)     \
  X(vkEnumeratePhysicalDevices)               \
  X(vkGetDeviceProcAddr)                      \
  X(vkGetPhysicalDeviceFeatures2)             \
  X(vkGetPhysicalDeviceMemoryProperties)      \
  X(vkGetPhysicalDeviceProperties)            \
  X(vkGetPhysicalDeviceProperties2)           \
  X(vkGetPhysicalDeviceQueueFamilyProperties) \
  X(vkCreateDebugUtilsMessengerEXT)           \
  X(vkDestroyDebugUtilsMessengerEXT)          \
  X(vkSetDebugUtilsObjectNameEXT)

#define VKTRAIN_DEVICE_FUNCTIONS(X)       \
  X(vkAllocateCommandBuffers)             \
  X(vkAllocateDescriptorSets)             \
  X(vkAllocateMemory)                     \
  X(vkBeginCommandBuffer)                 \
  X(vkBindBufferMemory)                   \
  X(vkCmdBindDescriptorSets)              \
  X(vkCmdBindPipeline)                    \
  X(vkCmdCopyBuffer)                      \
  X(vkCmdDispatch)                        \
  X(vkCmdFillBuffer)                      \
  X(vkCmdPipelineBarrier)                 \
  X(vkCmdPushConstants)                   \
  X(vkCmdResetQueryPool)                  \
  X(vkCmdWriteTimestamp)                  \
  X(vkCreateBuffer)                       \
  X(vkCreateBufferView)                   \
  X(vkCreateCommandPool)                  \
  X(vkCreateComputePipelines)             \
  X(vkCreateDescriptorPool)               \
  X(vkCreateDescriptorSetLayout)          \
  X(vkCreateFence)                        \
  X(vkCreatePipelineCache)                \
  X(vkCreatePipelineLayout)               \
  X(vkCreateQueryPool)                    \
  X(vkCreateShaderModule)                 \
  X(vkDestroyBuffer)                      \
  X(vkDestroyBufferView)                  \
  X(vkDestroyCommandPool)                 \
  X(vkDestroyDescriptorPool)              \
  X(vkDestroyDescriptorSetLayout)         \
  X(vkDestroyDevice)                      \
  X(vkDestroyFence)                       \
  X(vkDestroyPipeline)                    \
  X(vkDestroyPipelineCache)               \
  X(vkDestroyPipelineLayout)              \
  X(vkDestroyQueryPool)                   \
  X(vkDestroyShaderModule)                \
  X(vkDeviceWaitIdle)                     \
  X(vkEndCommandBuffer)                   \
  X(vkFreeMemory)                         \
  X(vkGetBufferMemoryRequirements)        \
  X(vkGetDeviceQueue)                     \
  X(vkGetPipelineExecutablePropertiesKHR) \
  X(vkGetPipelineExecutableStatisticsKHR) \
  X(vkGetPipelineCacheData)               \
  X(vkGetQueryPoolResults)                \
  X(vkMapMemory)                          \
  X(vkQueueSubmit)                        \
  X(vkResetCommandPool)                   \
  X(vkResetFences)                        \
  X(vkUpdateDescriptorSets)               \
  X(vkWaitForFences)

#define VKTRAIN_MEMBER(name) PFN_##name name = nullptr;
struct InstanceFunctions {
  VKTRAIN_INSTANCE_FUNCTIONS(VKTRAIN_MEMBER)
};
struct DeviceFunctions {
  VKTRAIN_DEVICE_FUNCTIONS(VKTRAIN_MEMBER)
};
#undef VKTRAIN_MEMBER

std::string_view to_string(VkResult result);

// What the user can do about it; a clause without a full stop.
std::string_view way_out(VkResult result);

// Throws DeviceError "<what>: <result>; <way out>" unless the result is VK_SUCCESS, a
// DeviceLostError when the device is lost.
void check(VkResult result, std::string_view what);

using MessageHandler = std::function<void(std::string_view)>;

// Warnings and errors of the validation layer. Drivers and layers may call from any thread.
class MessageLog {
 public:
  explicit MessageLog(MessageHandler handler) : handler_(std::move(handler)) {}
  void add(std::string_view message);
  std::vector<std::string> messages() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
  MessageHandler handler_;
};

// A VkInstance of version 1.1, with the validation layer when asked.
class Instance {
 public:
  // Throws DeviceError when the loader or the layer is missing; both messages say what to install.
  // An instance without any driver is valid and lists no devices.
  explicit Instance(bool validate, MessageHandler handler = nullptr,
                    ValidationChecks checks = ValidationChecks::synchronization);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  std::vector<VkPhysicalDevice> physical_devices() const;
  std::vector<std::string> extensions(VkPhysicalDevice physical) const;
  const InstanceFunctions& vk() const { return vk_; }
  PFN_vkVoidFunction function(const char* name) const;  // of an extension; null: unknown
  bool validating() const { return validate_; }
  std::vector<std::string> messages() const { return log_.messages(); }

 private:
  Instance(MessageHandler handler, bool validate) : validate_(validate), log_(std::move(handler)) {}
  void create(ValidationChecks checks);
  void load_functions();

  bool validate_;
  MessageLog log_;
  VkInstance instance_ = VK_NULL_HANDLE;  // null when no driver is installed
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
  InstanceFunctions vk_;
};

}  // namespace vktrain::runtime
