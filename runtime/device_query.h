// Reads the profile of a physical device. Private to the runtime room.
#pragma once

#include "runtime/device.h"
#include "runtime/vulkan_loader.h"

namespace vktrain::runtime {

inline constexpr std::uint32_t kNoQueueFamily = ~0u;

// The first family with compute; kNoQueueFamily when there is none. (Universal families come first
// on all known drivers; transfer is implied by compute.)
std::uint32_t compute_queue_family(const Instance& instance, VkPhysicalDevice physical);

// Significant bits of the family's timestamps; 0 when it has none.
std::uint32_t timestamp_bits(const Instance& instance, VkPhysicalDevice physical,
                             std::uint32_t queue_family);

DeviceProfile query_profile(const Instance& instance, VkPhysicalDevice physical,
                            std::uint32_t index);

std::vector<DeviceProfile> query_profiles(const Instance& instance,
                                          const std::vector<VkPhysicalDevice>& devices);

}  // namespace vktrain::runtime
