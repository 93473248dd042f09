// The conformance suite of `vktrain check`: all parts on one device.
#pragma once

#include "nn/check/device_check.h"
#include "nn/check/operation_check.h"
#include "nn/check/report.h"

namespace vktrain::nn {

// Does not end at a failure: each is a row. Throws what options.on_progress throws.
DeviceReport check_conformance(runtime::Device& device, const CheckOptions& options,
                               const DeviceCheckOptions& device_options = {});

// The rows of a check_conformance with these options. Skipped ones are variants that only other
// devices get.
std::vector<CheckRow> list_conformance(const runtime::Device& device, const CheckOptions& options);

}  // namespace vktrain::nn
