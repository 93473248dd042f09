// Creation of the VkDevice. VK_KHR_portability_subset is enabled where the device lists it: the
// specification then demands it. VK_KHR_pipeline_executable_properties is enabled when asked for,
// what matrix units need where the device has all of it.
#include "runtime/logical_device.h"

#include <algorithm>
#include <bit>

#include "runtime/cooperative_matrix.h"
#include "runtime/error.h"

namespace vktrain::runtime {

LogicalDevice::LogicalDevice(const Instance& instance, VkPhysicalDevice physical, bool statistics)
    : instance_(&instance),
      queue_family_(compute_queue_family(instance, physical)),
      timestamp_valid_bits_(timestamp_bits(instance, physical, queue_family_)) {
  instance.vk().vkGetPhysicalDeviceMemoryProperties(physical, &memory_);
  create(physical, statistics);
#define VKTRAIN_LOAD(name) \
  vk_.name = reinterpret_cast<PFN_##name>(instance.vk().vkGetDeviceProcAddr(device_, #name));
  VKTRAIN_DEVICE_FUNCTIONS(VKTRAIN_LOAD)
#undef VKTRAIN_LOAD
  vk_.vkGetDeviceQueue(device_, queue_family_, 0, &queue_);
}

void LogicalDevice::create(VkPhysicalDevice physical, bool statistics) {
  constexpr const char* kPortabilitySubset = "VK_KHR_portability_subset";
  const std::vector<std::string> available = instance_->extensions(physical);
  std::vector<const char*> extensions;
  const auto enable = [&](const char* name) {
    const bool listed = std::ranges::find(available, name) != available.end();
    if (listed) extensions.push_back(name);
    return listed;
  };
  enable(kPortabilitySubset);
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables{};
  executables.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR;
  executables.pipelineExecutableInfo = VK_TRUE;
  if (statistics && enable(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME)) {
    pipeline_flags_ = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
  }
  MatrixFeatures matrices;
  void* chain = pipeline_flags_ != 0 ? &executables : nullptr;
  if (query_half_matrix(*instance_, physical, available)[0] != 0) {
    for (const char* name : kMatrixExtensions) enable(name);
    matrices.request_all();
    matrices.set_next(chain);
    chain = matrices.chain();
  }
  const float priority = 1.0f;
  VkDeviceQueueCreateInfo queue{};
  queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queue.queueFamilyIndex = queue_family_;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkDeviceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.pNext = chain;
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue;
  info.enabledExtensionCount = static_cast<std::uint32_t>(extensions.size());
  info.ppEnabledExtensionNames = extensions.data();
  check(instance_->vk().vkCreateDevice(physical, &info, nullptr, &device_),
        "opening the Vulkan device");
}

LogicalDevice::~LogicalDevice() {
  wait_idle();
  vk_.vkDestroyDevice(device_, nullptr);
}

VkResult LogicalDevice::submit(const VkSubmitInfo& info, VkFence fence) const {
  submitted_ = true;
  return vk_.vkQueueSubmit(queue_, 1, &info, fence);
}

VkResult LogicalDevice::wait(VkFence fence) const {
  const VkResult result =
      vk_.vkWaitForFences(device_, 1, &fence, VK_TRUE, ~std::uint64_t{0});  // nanoseconds
  if (result != VK_SUCCESS) wait_idle();
  return result;
}

void LogicalDevice::wait_idle() const {
  if (submitted_) vk_.vkDeviceWaitIdle(device_);
}

std::uint32_t LogicalDevice::memory_type(std::uint32_t allowed, VkMemoryPropertyFlags required,
                                         VkMemoryPropertyFlags preferred) const {
  // Types with other flags (protected, lazily allocated, AMD's device-coherent) need features that
  // are not enabled.
  constexpr VkMemoryPropertyFlags kKnown =
      VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
      VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  int best_score = -1;
  std::uint32_t best = 0;
  for (std::uint32_t i = 0; i < memory_.memoryTypeCount; ++i) {
    const VkMemoryPropertyFlags flags = memory_.memoryTypes[i].propertyFlags;
    if (!(allowed & (1u << i)) || (flags & required) != required || (flags & ~kKnown)) continue;
    const int score = std::popcount(flags & preferred);
    if (score > best_score) {
      best_score = score;
      best = i;
    }
  }
  if (best_score < 0) throw DeviceError("the device has no memory type for storage buffers");
  return best;
}

void LogicalDevice::set_name(VkObjectType type, std::uint64_t handle,
                             const std::string& name) const {
  if (!instance_->validating()) return;
  VkDebugUtilsObjectNameInfoEXT info{};
  info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT;
  info.objectType = type;
  info.objectHandle = handle;
  info.pObjectName = name.c_str();
  check(instance_->vk().vkSetDebugUtilsObjectNameEXT(device_, &info), "naming a Vulkan object");
}

OwnedFence make_fence(const LogicalDevice& device) {
  VkFenceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
  VkFence fence = VK_NULL_HANDLE;
  check(device.vk().vkCreateFence(device.handle(), &info, nullptr, &fence), "creating a fence");
  return {device, fence};
}

OwnedCommandPool make_command_pool(const LogicalDevice& device) {
  VkCommandPoolCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  info.queueFamilyIndex = device.queue_family();
  VkCommandPool pool = VK_NULL_HANDLE;
  check(device.vk().vkCreateCommandPool(device.handle(), &info, nullptr, &pool),
        "creating a command pool");
  return {device, pool};
}

VkCommandBuffer allocate_command_buffer(const LogicalDevice& device, VkCommandPool pool) {
  VkCommandBufferAllocateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  info.commandPool = pool;
  info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  info.commandBufferCount = 1;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  check(device.vk().vkAllocateCommandBuffers(device.handle(), &info, &commands),
        "allocating a command buffer");
  return commands;
}

}  // namespace vktrain::runtime
