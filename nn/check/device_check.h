// The third part of `vktrain check`: what a driver must do besides arithmetic. Memory up to a bound
// and past it, many submissions, one long dispatch, timestamps, pipelines from several threads;
// then what it has and what is odd about it (nn/check/feature_check.h).
#pragma once

#include <vector>

#include "nn/check/operation_check.h"
#include "nn/check/report.h"

namespace vktrain::nn {

struct DeviceCheckOptions {
  std::uint32_t submissions = 2000;
  double long_seconds = 0.5;  // of the long dispatch
  // Largest memory that is filled, in bytes; also at most half of the device's, and half of what
  // the machine has free.
  std::uint64_t memory = std::uint64_t{1} << 40;
};

void check_device(runtime::Device& device, const CheckOptions& options,
                  const DeviceCheckOptions& device_options, DeviceReport& report);
std::vector<CheckRow> list_device(const runtime::Device& device, const CheckOptions& options);

}  // namespace vktrain::nn
