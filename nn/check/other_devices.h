// Devices that get other kernels than the one at hand: so that `vktrain check` runs those of them
// that this device can run, too, and names the rest with the reason.
#pragma once

#include <string>
#include <vector>

#include "runtime/device_profile.h"

namespace vktrain::nn {

struct OtherDevice {
  runtime::DeviceProfile profile;
  // Its kernels stay within the limits and features of the device at hand, where they are right but
  // slow, and were asked for; so on CPU drivers, which stand in for GPUs in tests. A GPU is not
  // asked for kernels that it would never be given.
  bool runs_here = false;
  std::string why_not;  // where they do not run here
};

// `all_kernels`: to run those that this device can run. CPU drivers take minutes to compile them.
std::vector<OtherDevice> other_devices(const runtime::DeviceProfile& own, bool all_kernels);

}  // namespace vktrain::nn
