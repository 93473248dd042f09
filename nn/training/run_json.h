// JSON texts of what a run reports. Numbers are the shortest that read back to the same value, in
// any locale; what is absent or not a number is null.
#pragma once

#include <span>
#include <string>

#include "nn/training/run_folder.h"

namespace vktrain::nn {

std::string to_json_line(const EpochMetrics& metrics);  // a line of metrics.jsonl, without its end
std::string to_json_line(const StepRecord& record);

// Documents of several lines that end with a line end.
std::string result_json(const Experiment& experiment, const RunResult& result);
// Of replicas: each run's numbers by the name of its folder, their mean and standard deviation
// (sample, n - 1; null for one run).
std::string replicas_json(const Experiment& experiment, std::span<const std::string> names,
                          std::span<const Experiment> replicas, std::span<const RunResult> results);
std::string device_json(const runtime::DeviceProfile& device, const ProgramInfo& program,
                        const KernelNames& kernels = {});
std::string devices_json(std::span<const runtime::DeviceProfile> devices);
std::string evaluation_json(const EvaluationMetrics& metrics);

}  // namespace vktrain::nn
