// The conformance suite of `vktrain check`: all parts on one device.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "nn/check/device_check.h"
#include "nn/check/operation_check.h"
#include "nn/check/report.h"

namespace vktrain::nn {

// Does not end at a failure: each is a row. Throws what options.on_progress throws.
DeviceReport check_conformance(runtime::Device& device, const CheckOptions& options,
                               const DeviceCheckOptions& device_options = {});

// Each device by `check`, in their order. Those that cannot be used have no rows; one for which
// `check` throws DeviceError, as when it cannot be opened, has the row "device: open" that failed.
std::vector<DeviceReport> check_each(
    std::span<const runtime::DeviceProfile> devices,
    const std::function<DeviceReport(const runtime::DeviceProfile&)>& check);

// The rows of a check_conformance with these options. Skipped ones are variants that only other
// devices get.
std::vector<CheckRow> list_conformance(const runtime::Device& device, const CheckOptions& options);

}  // namespace vktrain::nn
