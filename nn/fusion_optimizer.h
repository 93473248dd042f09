// The optimizer's update of a linear layer's weights by the product that makes their gradient,
// which then is never stored (nn/optimizers/gemm_update.h). Part of nn/fusion.h.
#pragma once

#include "nn/graph.h"
#include "runtime/device_profile.h"

namespace vktrain::nn {

// Merges weight gradients with their parts of the optimizer, behind the last operations that read
// the weights, where the optimizer alone reads a gradient and `device` has kernels for it: with
// `whole` all of them where nothing is then left to the optimizer, else those of many weights. A
// bias goes with its weights where it can.
void fuse_weight_updates(Graph& graph, const runtime::DeviceProfile& device, bool whole);

}  // namespace vktrain::nn
