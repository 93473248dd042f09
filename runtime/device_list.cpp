// The floor and the choice of a device: pure functions over profiles.
#include "runtime/device_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "runtime/error.h"
#include "runtime/kernel.h"

namespace vktrain::runtime {
namespace {

// The floor. The Vulkan specification guarantees all of it but the eight storage buffers (four).
constexpr std::uint64_t kSharedMemory = 16384;
constexpr std::uint32_t kInvocations = 128;
constexpr std::uint32_t kWorkgroups = 65535;
constexpr std::uint64_t kAlignment = 256;

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

std::string describe(const DeviceProfile& device) {
  std::string line =
      fmt::format("  {}: {} ({})", device.index, device.name, to_string(device.kind));
  if (device.usable()) return line;
  return fmt::format("{}, refused: {}", line, fmt::join(device.refused, "; "));
}

std::string with_list(std::string_view problem, std::span<const DeviceProfile> devices) {
  std::string message = fmt::format("{}; the devices are:", problem);
  for (const auto& device : devices) message += fmt::format("\n{}", describe(device));
  return message;
}

const DeviceProfile* best(std::span<const DeviceProfile> devices) {
  const DeviceProfile* found = nullptr;
  for (const auto& device : devices) {
    if (!device.usable()) continue;
    if (!found || device.kind < found->kind) found = &device;  // DeviceKind is in that order
  }
  return found;
}

std::optional<std::size_t> parse_index(std::string_view selector) {
  std::size_t index = 0;
  const char* end = selector.data() + selector.size();
  const auto [rest, error] = std::from_chars(selector.data(), end, index);
  if (error != std::errc() || rest != end) return std::nullopt;
  return index;
}

const DeviceProfile* by_name(std::span<const DeviceProfile> devices, std::string_view selector) {
  const std::string wanted = lower(selector);
  const DeviceProfile* found = nullptr;
  for (const auto& device : devices) {
    if (lower(device.name).find(wanted) == std::string::npos) continue;
    if (!found || (!found->usable() && device.usable())) found = &device;
  }
  return found;
}

}  // namespace

std::vector<std::string> refusal_reasons(const DeviceProfile& profile, const FloorFacts& facts) {
  std::vector<std::string> reasons;
  const auto need = [&](std::string_view what, std::uint64_t found, std::uint64_t wanted) {
    if (found < wanted) reasons.push_back(fmt::format("{}: {}, {} needed", what, found, wanted));
  };
  if (facts.api_major < 1 || (facts.api_major == 1 && facts.api_minor < 1)) {
    reasons.push_back(
        fmt::format("Vulkan version: {}.{}, 1.1 needed", facts.api_major, facts.api_minor));
  }
  if (!facts.compute_queue) reasons.push_back("no compute queue");
  if (!facts.staging_memory) reasons.push_back("no host-visible and coherent memory");
  need("storage buffers a stage", profile.max_storage_buffers, kMaxBindings);
  need("bytes of shared memory", profile.max_shared_memory, kSharedMemory);
  need("invocations a workgroup", profile.max_workgroup_invocations, kInvocations);
  need("bytes of push constants", profile.max_push_constants, kMaxPushBytes);
  need("invocations on a workgroup's first axis", profile.max_workgroup_size[0], kInvocations);
  for (const std::uint32_t count : profile.max_workgroup_count) {
    need("workgroups on an axis", count, kWorkgroups);
  }
  if (profile.storage_alignment > kAlignment) {
    reasons.push_back(fmt::format("alignment of storage buffers: {} bytes, at most {} possible",
                                  profile.storage_alignment, kAlignment));
  }
  return reasons;
}

const DeviceProfile& choose_device(std::span<const DeviceProfile> devices,
                                   std::string_view selector) {
  if (devices.empty()) {
    throw DeviceError(
        "no Vulkan device was found: install a driver, on Debian and Ubuntu with "
        "`apt install mesa-vulkan-drivers` (it includes lavapipe, which runs on any CPU)");
  }
  if (selector == "auto") {
    if (const DeviceProfile* found = best(devices)) return *found;
    throw DeviceError(with_list("no Vulkan device is usable", devices));
  }
  const DeviceProfile* found = nullptr;
  const auto index = parse_index(selector);
  if (index && *index < devices.size()) {
    found = &devices[*index];
  } else if (!selector.empty()) {
    found = by_name(devices, selector);  // also numbers: "4090" is a part of a name
  }
  if (!found) {
    throw UsageError(with_list(fmt::format("no Vulkan device fits \"{}\" (expected \"auto\", an "
                                           "index or a part of the name)",
                                           selector),
                               devices));
  }
  if (!found->usable()) {
    throw UsageError(with_list(
        fmt::format("Vulkan device {} \"{}\" cannot be used", found->index, found->name), devices));
  }
  return *found;
}

}  // namespace vktrain::runtime
