#include "runtime/profile_limits.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "runtime/device_list.h"
#include "runtime/platform.h"
#include "runtime/profile_json.h"

namespace vktrain::runtime {
namespace {

constexpr std::string_view kMinimum = "minimum";

// The part behind the last colon, if it is a number.
std::optional<std::size_t> position_in(const std::string& text, std::string& file) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size() || text.size() - colon > 5) return {};
  std::size_t position = 0;
  for (const char c : text.substr(colon + 1)) {
    if (c < '0' || c > '9') return {};
    position = position * 10 + static_cast<std::size_t>(c - '0');
  }
  file = text.substr(0, colon);
  return position;
}

template <class Number>
void lower(Number& value, Number limit) {
  value = std::min(value, limit);
}

// Where 0 means that there is none.
void lower_known(std::uint32_t& value, std::uint32_t limit) {
  if (limit != 0) value = value == 0 ? limit : std::min(value, limit);
}

// Alignments are powers of two, so that the larger one is a multiple of the other.
void raise(std::uint64_t& value, std::uint64_t limit) { value = std::max(value, limit); }

void clamp_sizes(DeviceProfile& device, const DeviceProfile& limits) {
  lower(device.max_shared_memory, limits.max_shared_memory);
  lower(device.max_workgroup_invocations, limits.max_workgroup_invocations);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    lower(device.max_workgroup_size[axis], limits.max_workgroup_size[axis]);
    lower(device.max_workgroup_count[axis], limits.max_workgroup_count[axis]);
  }
  lower(device.max_push_constants, limits.max_push_constants);
  lower(device.max_storage_buffers, limits.max_storage_buffers);
  lower(device.max_storage_range, limits.max_storage_range);
  lower(device.max_texel_elements, limits.max_texel_elements);
  lower(device.max_allocation, limits.max_allocation);
  lower(device.memory, limits.memory);
  lower_known(device.max_loop_turns, limits.max_loop_turns);
  raise(device.storage_alignment, limits.storage_alignment);
  raise(device.texel_alignment, limits.texel_alignment);
}

}  // namespace

ProfileLimits minimum_limits() {
  DeviceProfile minimum;
  minimum.name = kMinimum;
  minimum.max_shared_memory = 16384;
  minimum.max_workgroup_invocations = 128;
  minimum.max_workgroup_size = {128, 128, 64};
  minimum.max_workgroup_count = {65535, 65535, 65535};
  minimum.max_push_constants = 128;
  minimum.max_storage_buffers = 8;
  minimum.max_storage_range = std::uint64_t{1} << 27;
  minimum.storage_alignment = 256;
  minimum.max_texel_elements = 65536;
  minimum.texel_alignment = 256;
  minimum.max_allocation = std::uint64_t{1} << 30;
  minimum.memory = std::numeric_limits<std::uint64_t>::max();  // Vulkan guarantees none
  return {std::move(minimum), /*choices=*/false};
}

ProfileLimits no_limits() { return {}; }

DeviceProfile clamp(const DeviceProfile& device, const ProfileLimits& limits) {
  if (limits.profile.name.empty()) return device;
  DeviceProfile clamped = device;
  clamp_sizes(clamped, limits.profile);
  if (device.subgroup_size != limits.profile.subgroup_size) clamped.subgroup_size = 0;
  clamped.subgroup_shuffle =
      clamped.subgroup_size != 0 && device.subgroup_shuffle && limits.profile.subgroup_shuffle;
  if (device.half_matrix != limits.profile.half_matrix || clamped.subgroup_size == 0) {
    clamped.half_matrix = {};
  }
  clamped.timestamps = device.timestamps && limits.profile.timestamps;
  if (limits.choices) {
    clamped.kind = limits.profile.kind;
    clamped.vendor_id = limits.profile.vendor_id;
  }
  clamped.limits = limits.profile.name;
  for (std::string& reason : refusal_reasons(clamped, {})) {
    if (std::ranges::find(clamped.refused, reason) == clamped.refused.end()) {
      clamped.refused.push_back(std::move(reason));
    }
  }
  return clamped;
}

ProfileLimits read_limits(const std::string& text) {
  if (text == kMinimum) return minimum_limits();
  if (text == "none") return no_limits();
  std::string file = text;
  std::optional<std::size_t> position;
  std::error_code ignored;
  if (!std::filesystem::exists(path_of(text), ignored)) position = position_in(text, file);
  return {read_profile(path_of(file), position), /*choices=*/true};
}

std::optional<ProfileLimits> limits_from_environment() {
  const std::optional<std::string> text = environment_variable("VKTRAIN_LIMITS");
  if (!text || text->empty()) return std::nullopt;
  return read_limits(*text);
}

}  // namespace vktrain::runtime
