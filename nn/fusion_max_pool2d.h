// Max pooling by the convolution before it: the output of the convolution is never stored, its
// gradient neither. Part of nn/fusion.h.
#pragma once

#include <cstddef>

#include "nn/graph.h"
#include "runtime/device_profile.h"

namespace vktrain::nn {

// Merges the max pooling at `index`, by tiles of 2 x 2, into the convolution that makes its input,
// and its gradient into the passes that read it, where the kernels for `device` pool
// (conv2d_rows::pools). The derivative of an activation in the pooling's gradient moves before the
// gradient: into the product that makes it, else into an operation of its own.
bool fuse_conv2d_max_pool2d(Graph& graph, std::size_t index, const runtime::DeviceProfile& device);

}  // namespace vktrain::nn
