// The optimizer's update of a linear layer's weights by the product that makes their gradient,
// which then is never stored (nn/optimizers/gemm_update.h). Part of nn/fusion.h.
#pragma once

#include <cstddef>

#include "nn/graph.h"
#include "runtime/device_profile.h"

namespace vktrain::nn {

// Merges the weight gradient at `index` with its part of the optimizer, behind the last operation
// that reads the weights, where the optimizer alone reads the gradient, the weights are many and
// `device` has kernels for it.
bool fuse_weight_update(Graph& graph, std::size_t index, const runtime::DeviceProfile& device);

}  // namespace vktrain::nn
