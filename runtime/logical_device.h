// A VkDevice with one compute queue, and RAII handles of what is made from it. Private to the
// runtime room.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "runtime/device_query.h"
#include "runtime/vulkan_loader.h"

namespace vktrain::runtime {

// What memory must be that the host copies from and to.
inline constexpr VkMemoryPropertyFlags kStagingMemory =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

class LogicalDevice {
 public:
  // With `statistics`, pipelines tell their registers where the driver can.
  LogicalDevice(const Instance& instance, VkPhysicalDevice physical, bool statistics = false);
  ~LogicalDevice();
  LogicalDevice(const LogicalDevice&) = delete;
  LogicalDevice& operator=(const LogicalDevice&) = delete;

  VkDevice handle() const { return device_; }
  std::uint32_t queue_family() const { return queue_family_; }
  std::uint32_t timestamp_valid_bits() const { return timestamp_valid_bits_; }
  VkPipelineCreateFlags pipeline_flags() const { return pipeline_flags_; }
  const DeviceFunctions& vk() const { return vk_; }

  VkResult submit(const VkSubmitInfo& info, VkFence fence) const;
  // Waits for the submission of that fence. When that fails the device is idle all the same, so
  // that what the submission uses may be destroyed.
  VkResult wait(VkFence fence) const;
  // Waits for all submissions, if there were any: Mesa's RADV without hardware (RADV_FORCE_FAMILY),
  // on which kernels can be compiled for AMD, crashes in vkDeviceWaitIdle. The result is not
  // interesting: a lost device is idle, too.
  void wait_idle() const;

  // Index of the memory type that a buffer should live in: the first one of `allowed` with all
  // `required` and the most of `preferred` flags. Throws DeviceError when there is none.
  std::uint32_t memory_type(std::uint32_t allowed, VkMemoryPropertyFlags required,
                            VkMemoryPropertyFlags preferred) const;

  // Shown in validation messages and debuggers; does nothing without validation.
  void set_name(VkObjectType type, std::uint64_t handle, const std::string& name) const;

 private:
  void create(VkPhysicalDevice physical, bool statistics);

  const Instance* instance_;
  std::uint32_t queue_family_;
  std::uint32_t timestamp_valid_bits_;
  VkPipelineCreateFlags pipeline_flags_ = 0;
  VkPhysicalDeviceMemoryProperties memory_{};
  DeviceFunctions vk_;
  VkDevice device_ = VK_NULL_HANDLE;
  VkQueue queue_ = VK_NULL_HANDLE;
  mutable bool submitted_ = false;
};

// Owns one Vulkan handle; `destroy` is the member of DeviceFunctions that frees it.
template <typename T, auto destroy>
class Owned {
 public:
  Owned() = default;
  Owned(const LogicalDevice& device, T handle) : device_(&device), handle_(handle) {}
  Owned(Owned&& other) noexcept
      : device_(other.device_), handle_(std::exchange(other.handle_, T{VK_NULL_HANDLE})) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() {
    if (handle_ != VK_NULL_HANDLE) (device_->vk().*destroy)(device_->handle(), handle_, nullptr);
  }
  T get() const { return handle_; }

 private:
  const LogicalDevice* device_ = nullptr;
  T handle_ = VK_NULL_HANDLE;
};

using OwnedBuffer = Owned<VkBuffer, &DeviceFunctions::vkDestroyBuffer>;
using OwnedBufferView = Owned<VkBufferView, &DeviceFunctions::vkDestroyBufferView>;
using OwnedMemory = Owned<VkDeviceMemory, &DeviceFunctions::vkFreeMemory>;
using OwnedCommandPool = Owned<VkCommandPool, &DeviceFunctions::vkDestroyCommandPool>;
using OwnedDescriptorPool = Owned<VkDescriptorPool, &DeviceFunctions::vkDestroyDescriptorPool>;
using OwnedSetLayout = Owned<VkDescriptorSetLayout, &DeviceFunctions::vkDestroyDescriptorSetLayout>;
using OwnedPipelineLayout = Owned<VkPipelineLayout, &DeviceFunctions::vkDestroyPipelineLayout>;
using OwnedPipelineCache = Owned<VkPipelineCache, &DeviceFunctions::vkDestroyPipelineCache>;
using OwnedPipeline = Owned<VkPipeline, &DeviceFunctions::vkDestroyPipeline>;
using OwnedShaderModule = Owned<VkShaderModule, &DeviceFunctions::vkDestroyShaderModule>;
using OwnedFence = Owned<VkFence, &DeviceFunctions::vkDestroyFence>;
using OwnedQueryPool = Owned<VkQueryPool, &DeviceFunctions::vkDestroyQueryPool>;

OwnedFence make_fence(const LogicalDevice& device);
OwnedCommandPool make_command_pool(const LogicalDevice& device);
VkCommandBuffer allocate_command_buffer(const LogicalDevice& device, VkCommandPool pool);

}  // namespace vktrain::runtime
