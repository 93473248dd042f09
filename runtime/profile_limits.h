// Limits that a device is held to, so that a program shows on one device what it would do on
// another: Vulkan's guaranteed minimum, or the profile of another GPU.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/device_profile.h"

namespace vktrain::runtime {

struct ProfileLimits {
  DeviceProfile profile;  // `name` is what DeviceProfile::limits tells of it; none: no limits
  // Also replay what only drives the choice of kernels: kind and vendor.
  bool choices = false;
};

// What Vulkan 1.1 guarantees (specification, "Required Limits"), but eight storage buffers a stage,
// the least that vktrain uses, where Vulkan guarantees four; no feature that it leaves to the
// device, and a subgroup size that is not known.
ProfileLimits minimum_limits();
// Holds a device to nothing.
ProfileLimits no_limits();

// The device held to the limits. A clamp takes nothing but away: the smaller limit, the larger
// alignment, a feature that both have. Index, names and versions stay the device's own; where the
// limits are below what vktrain needs, that is one more reason for refusal.
//
// Subgroups: the size and the operations are the device's where the limits have the same size, else
// the size is 0 and there are no operations. A kernel that is made for the 32 lanes of another GPU
// would give wrong results on the 8 lanes of this one.
DeviceProfile clamp(const DeviceProfile& device, const ProfileLimits& limits);

// "minimum"; "none"; or a file that holds the profile of a device (runtime/profile_json.h),
// followed by its position in the file where that has several, as in "gpus.json:1". Throws
// UsageError, which names the file, what was expected and what was found.
ProfileLimits read_limits(const std::string& text);

// What VKTRAIN_LIMITS asks for, in the form of `read_limits`; empty when it is not set or empty.
std::optional<ProfileLimits> limits_from_environment();

}  // namespace vktrain::runtime
