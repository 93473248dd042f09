#include "nn/check/conformance.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "nn/check/training_check.h"

namespace vktrain::nn {

DeviceReport check_conformance(runtime::Device& device, const CheckOptions& options,
                               const DeviceCheckOptions& device_options) {
  const auto start = std::chrono::steady_clock::now();
  DeviceReport report;
  report.profile = device.profile();
  report.rows = check_operations(device, options, operation_catalogue(options.seed));
  check_trainings(device, options, report);
  check_device(device, options, device_options, report);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

std::vector<CheckRow> list_conformance(const runtime::Device& device, const CheckOptions& options) {
  std::vector<CheckRow> rows = list_operations(device, options, operation_catalogue(options.seed));
  for (std::vector<CheckRow> part : {list_trainings(options), list_device(device, options)}) {
    std::ranges::move(part, std::back_inserter(rows));
  }
  return rows;
}

}  // namespace vktrain::nn
