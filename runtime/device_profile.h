// What is known of a device: its kind, names, limits and features. Plain data, no Vulkan.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vktrain::runtime {

enum class DeviceKind { discrete, integrated, virtual_gpu, cpu, other };
std::string_view to_string(DeviceKind kind);  // "discrete", "integrated", "virtual", "CPU", "other"
std::optional<DeviceKind> parse_device_kind(std::string_view text);  // what to_string gives

// What is known of a device before it is opened. Sizes are in bytes.
struct DeviceProfile {
  std::uint32_t index = 0;  // position in the list, as `--device 1` counts
  std::string name;
  DeviceKind kind = DeviceKind::other;
  std::string driver_name;  // "llvmpipe", "radv", ...
  std::string driver_info;  // "Mesa 22.3.6 (LLVM 15.0.6)"
  std::string api_version;  // "1.3.230"
  std::uint32_t vendor_id = 0;
  std::uint32_t device_id = 0;

  std::uint32_t subgroup_size = 0;  // 0: not known; no baseline kernel relies on it
  bool subgroup_shuffle = false;    // in compute shaders
  // M, N and K of the matrices of half floats that a subgroup can multiply with f32 sums
  // (VK_KHR_cooperative_matrix); zeros: none.
  std::array<std::uint32_t, 3> half_matrix{};
  std::uint64_t max_shared_memory = 0;
  std::uint32_t max_workgroup_invocations = 0;
  std::array<std::uint32_t, 3> max_workgroup_size{};
  std::array<std::uint32_t, 3> max_workgroup_count{};
  std::uint32_t max_push_constants = 0;
  std::uint32_t max_storage_buffers = 0;  // per stage
  std::uint64_t max_storage_range = 0;
  std::uint64_t storage_alignment = 0;
  std::uint64_t max_texel_elements = 0;  // of a texel buffer
  std::uint64_t texel_alignment = 0;
  std::uint64_t max_allocation = 0;
  // Turns that the loops of an invocation take together before the driver ends them, without a word
  // and whatever is left to do (runtime/driver_quirks.h); 0: no limit is known. A loop's last turn,
  // which only finds its end, counts.
  std::uint32_t max_loop_turns = 0;
  std::uint64_t memory = 0;  // of the largest device-local heap
  bool timestamps = false;
  double timestamp_period = 0;  // nanoseconds a tick

  // Whose limits the device is held to (runtime/profile_limits.h); empty: none but its own.
  std::string limits;

  std::vector<std::string> refused;  // reasons why it cannot be used; empty: usable
  bool usable() const { return refused.empty(); }
};

}  // namespace vktrain::runtime
