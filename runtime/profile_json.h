// Device profiles as JSON: what `vktrain devices --json` prints, and the reader of that and of what
// others print. Writing and reading stand side by side so that they stay each other's inverse.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "runtime/device_profile.h"

namespace vktrain::runtime {

// Every field of the profile; sizes in bytes.
nlohmann::ordered_json profile_object(const DeviceProfile& profile);

// Reads the profile of a device from a file in one of these forms:
//   - an element of what `vktrain devices --json` prints, or that list; also a run's device.json
//   - what `vulkaninfo --json` writes, the profiles schema ("capabilities") as well as the older
//     form ("VkPhysicalDeviceProperties" at the top)
//   - a report of vulkan.gpuinfo.org ("properties" with "limits")
// `position` tells which one of several; without it the file must hold one. What a foreign form
// does not tell is what Vulkan guarantees: no shuffles, 1 GiB in an allocation, no timestamps.
// Throws UsageError, which names the file, what was expected and what was found.
DeviceProfile read_profile(const std::filesystem::path& file, std::optional<std::size_t> position);

}  // namespace vktrain::runtime
