#include "nn/check/conformance.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "nn/check/training_check.h"
#include "runtime/error.h"

namespace vktrain::nn {

DeviceReport check_conformance(runtime::Device& device, const CheckOptions& options,
                               const DeviceCheckOptions& device_options) {
  const auto start = std::chrono::steady_clock::now();
  DeviceReport report;
  report.profile = device.profile();
  report.rows =
      check_operations(device, options, operation_catalogue(options.seed, device.profile()));
  check_trainings(device, options, report);
  check_device(device, options, device_options, report);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

std::vector<DeviceReport> check_each(
    std::span<const runtime::DeviceProfile> devices,
    const std::function<DeviceReport(const runtime::DeviceProfile&)>& check) {
  std::vector<DeviceReport> reports;
  for (const runtime::DeviceProfile& profile : devices) {
    DeviceReport report;
    report.profile = profile;
    try {
      if (profile.usable()) report = check(profile);
    } catch (const DeviceError& error) {
      report.rows.push_back(row_of("device", "open"));
      fail(report.rows.back(), error.what());
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

std::vector<CheckRow> list_conformance(const runtime::Device& device, const CheckOptions& options) {
  std::vector<CheckRow> rows =
      list_operations(device, options, operation_catalogue(options.seed, device.profile()));
  for (std::vector<CheckRow> part : {list_trainings(options), list_device(device, options)}) {
    std::ranges::move(part, std::back_inserter(rows));
  }
  return rows;
}

}  // namespace vktrain::nn
