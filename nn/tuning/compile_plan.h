// Compiles the kernels of a plan before anything is allocated for it. Where the driver refuses one
// that an operation chose among several, the next candidate takes its place.
#pragma once

#include <memory>

#include "nn/plan.h"
#include "nn/tuning/contest.h"

namespace vktrain::nn {

// The choices of `options`, changed where they have to be; `log` gets a line for each change.
// Throws DeviceError, naming kernel and device, when the driver refuses a kernel that has no
// alternative.
std::shared_ptr<const VariantChoices> compile_plan(runtime::Device& device, const Graph& graph,
                                                   const ParameterLayout& parameters,
                                                   PlanOptions options, const TuningLog& log);

}  // namespace vktrain::nn
