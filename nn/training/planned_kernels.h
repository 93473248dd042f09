// The kernels that trainings would use, found by planning alone: no device memory, nothing is run.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "nn/experiment/experiment.h"
#include "runtime/device.h"
#include "runtime/kernel.h"

namespace vktrain::nn {

struct PlannedKernel {
  bool chosen = false;     // by a plan without tuning; else a candidate that a tuner could take
  std::string first_user;  // experiment and dispatch: "a-cnn-10k 0.forward"
  std::int64_t users = 0;  // dispatches of all plans
};

using PlannedKernels = std::map<runtime::KernelKey, PlannedKernel>;

// Adds the kernels of the experiment's training step at its batch size (or at `batch`, where that
// is not 0), of the evaluations at theirs, and of the smaller last batch of 60,000 training and
// 10,000 test images. With `candidates`, also those of every other answer to every question that
// the plans ask (nn/tuning/variant_choices.h). Throws Error where a plan does not fit the device.
void add_planned_kernels(PlannedKernels& kernels, const Experiment& experiment,
                         const runtime::DeviceProfile& device, std::int64_t batch, bool candidates);

}  // namespace vktrain::nn
