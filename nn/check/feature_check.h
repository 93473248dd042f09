// Rows of `vktrain check` about optional features: which of those that kernels use the device has,
// and what is known to be odd about its driver. A feature that is missing is a skipped row; one
// that does not do what the device says of it fails; what is only told is info.
#pragma once

#include <vector>

#include "nn/check/report.h"

namespace vktrain::nn {

// `raw` is what the device says of itself (runtime::list_devices), `used` what is left of it within
// limits and after the test of shuffles when it was opened (runtime/device.h).
std::vector<CheckRow> feature_rows(const runtime::DeviceProfile& raw,
                                   const runtime::DeviceProfile& used);

}  // namespace vktrain::nn
