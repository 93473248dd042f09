// Device profiles from vkGetPhysicalDeviceProperties2 and its chain.
#include "runtime/device_query.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/cooperative_matrix.h"
#include "runtime/device_list.h"
#include "runtime/driver_quirks.h"
#include "runtime/logical_device.h"

namespace vktrain::runtime {
namespace {

std::vector<VkQueueFamilyProperties> queue_families(const Instance& instance,
                                                    VkPhysicalDevice physical) {
  std::uint32_t count = 0;
  instance.vk().vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  instance.vk().vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families.data());
  return families;
}

DeviceKind kind_of(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return DeviceKind::discrete;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return DeviceKind::integrated;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return DeviceKind::virtual_gpu;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return DeviceKind::cpu;
    default:
      return DeviceKind::other;
  }
}

void copy_properties(const VkPhysicalDeviceProperties& properties, DeviceProfile& profile) {
  const VkPhysicalDeviceLimits& limits = properties.limits;
  profile.name = properties.deviceName;
  profile.kind = kind_of(properties.deviceType);
  profile.api_version = fmt::format("{}.{}.{}", VK_API_VERSION_MAJOR(properties.apiVersion),
                                    VK_API_VERSION_MINOR(properties.apiVersion),
                                    VK_API_VERSION_PATCH(properties.apiVersion));
  profile.vendor_id = properties.vendorID;
  profile.device_id = properties.deviceID;
  profile.max_shared_memory = limits.maxComputeSharedMemorySize;
  profile.max_workgroup_invocations = limits.maxComputeWorkGroupInvocations;
  std::ranges::copy(limits.maxComputeWorkGroupSize, profile.max_workgroup_size.begin());
  std::ranges::copy(limits.maxComputeWorkGroupCount, profile.max_workgroup_count.begin());
  profile.max_push_constants = limits.maxPushConstantsSize;
  profile.max_storage_buffers =
      std::min(limits.maxPerStageDescriptorStorageBuffers, limits.maxDescriptorSetStorageBuffers);
  profile.max_storage_range = limits.maxStorageBufferRange;
  // Alignments are powers of two; a driver that tells 0 has none to ask for.
  profile.storage_alignment = std::max<VkDeviceSize>(1, limits.minStorageBufferOffsetAlignment);
  profile.max_texel_elements = limits.maxTexelBufferElements;
  profile.texel_alignment = std::max<VkDeviceSize>(1, limits.minTexelBufferOffsetAlignment);
  profile.timestamp_period = limits.timestampPeriod;
}

// Needs a device of version 1.1.
void copy_properties2(const Instance& instance, VkPhysicalDevice physical, DeviceProfile& profile) {
  const std::vector<std::string> extensions = instance.extensions(physical);
  const auto has = [&](std::string_view name) {
    return std::ranges::find(extensions, name) != extensions.end();
  };
  VkPhysicalDeviceMaintenance4PropertiesKHR maintenance4{};
  maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES_KHR;
  VkPhysicalDeviceDriverPropertiesKHR driver{};
  driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES_KHR;
  VkPhysicalDeviceMaintenance3Properties maintenance3{};
  maintenance3.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES;
  VkPhysicalDeviceSubgroupProperties subgroup{};
  subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
  subgroup.pNext = &maintenance3;
  void** tail = &maintenance3.pNext;
  if (has(VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME)) {
    *tail = &driver;
    tail = &driver.pNext;
  }
  if (has(VK_KHR_MAINTENANCE_4_EXTENSION_NAME)) *tail = &maintenance4;
  VkPhysicalDeviceProperties2 properties{};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  properties.pNext = &subgroup;
  instance.vk().vkGetPhysicalDeviceProperties2(physical, &properties);

  profile.subgroup_size = subgroup.subgroupSize;
  profile.subgroup_shuffle = (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
                             (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) != 0;
  profile.max_allocation = maintenance3.maxMemoryAllocationSize;
  if (maintenance4.maxBufferSize != 0) {
    profile.max_allocation =
        std::min<std::uint64_t>(profile.max_allocation, maintenance4.maxBufferSize);
  }
  profile.half_matrix = query_half_matrix(instance, physical, extensions);
  profile.driver_name = driver.driverName;
  profile.max_loop_turns = quirk_of(profile.driver_name).max_loop_turns;
  profile.driver_info = driver.driverInfo;
}

VkPhysicalDeviceMemoryProperties memory_of(const Instance& instance, VkPhysicalDevice physical) {
  VkPhysicalDeviceMemoryProperties memory{};
  instance.vk().vkGetPhysicalDeviceMemoryProperties(physical, &memory);
  return memory;
}

std::uint64_t largest_device_heap(const VkPhysicalDeviceMemoryProperties& memory) {
  std::uint64_t largest = 0;
  for (std::uint32_t i = 0; i < memory.memoryHeapCount; ++i) {
    if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) {
      largest = std::max<std::uint64_t>(largest, memory.memoryHeaps[i].size);
    }
  }
  return largest;
}

// The specification promises such a type; copies to and from the device need it. A driver without
// hardware (RADV_FORCE_FAMILY) has no memory at all, and yet compiles kernels.
bool has_staging_memory(const VkPhysicalDeviceMemoryProperties& memory) {
  if (memory.memoryTypeCount == 0) return true;
  const VkMemoryType* types = memory.memoryTypes;
  return std::any_of(types, types + memory.memoryTypeCount, [](const VkMemoryType& type) {
    return (type.propertyFlags & kStagingMemory) == kStagingMemory;
  });
}

}  // namespace

std::uint32_t compute_queue_family(const Instance& instance, VkPhysicalDevice physical) {
  const auto families = queue_families(instance, physical);
  for (std::size_t i = 0; i < families.size(); ++i) {
    if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) return static_cast<std::uint32_t>(i);
  }
  return kNoQueueFamily;
}

std::uint32_t timestamp_bits(const Instance& instance, VkPhysicalDevice physical,
                             std::uint32_t queue_family) {
  const auto families = queue_families(instance, physical);
  return queue_family < families.size() ? families[queue_family].timestampValidBits : 0;
}

DeviceProfile query_profile(const Instance& instance, VkPhysicalDevice physical,
                            std::uint32_t index) {
  VkPhysicalDeviceProperties properties{};
  instance.vk().vkGetPhysicalDeviceProperties(physical, &properties);
  DeviceProfile profile;
  profile.index = index;
  copy_properties(properties, profile);
  if (properties.apiVersion >= VK_API_VERSION_1_1) copy_properties2(instance, physical, profile);
  const VkPhysicalDeviceMemoryProperties memory = memory_of(instance, physical);
  profile.memory = largest_device_heap(memory);
  const std::uint32_t family = compute_queue_family(instance, physical);
  profile.timestamps = timestamp_bits(instance, physical, family) > 0;
  profile.refused =
      refusal_reasons(profile, {VK_API_VERSION_MAJOR(properties.apiVersion),
                                VK_API_VERSION_MINOR(properties.apiVersion),
                                family != kNoQueueFamily, has_staging_memory(memory)});
  return profile;
}

std::vector<DeviceProfile> query_profiles(const Instance& instance,
                                          const std::vector<VkPhysicalDevice>& devices) {
  std::vector<DeviceProfile> profiles;
  for (const VkPhysicalDevice device : devices) {
    profiles.push_back(
        query_profile(instance, device, static_cast<std::uint32_t>(profiles.size())));
  }
  return profiles;
}

std::vector<DeviceProfile> list_devices() {
  const Instance instance(/*validate=*/false);
  return query_profiles(instance, instance.physical_devices());
}

}  // namespace vktrain::runtime
