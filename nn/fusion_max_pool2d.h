// Max pooling over tiles of 2 x 2 by the operation before it: what is pooled is never stored, its
// gradient neither. Part of nn/fusion.h. The derivative of an activation in the pooling's gradient
// moves before the gradient: into the product that makes it, else into an operation of its own.
#pragma once

#include <cstddef>

#include "nn/graph.h"
#include "runtime/device_profile.h"

namespace vktrain::nn {

// Merges the max pooling at `index` into the batch normalisation that makes its input, and its
// gradient into that of the normalisation.
bool fuse_batch_norm_max_pool2d(Graph& graph, std::size_t index);

// Merges it into the convolution that makes its input, and its gradient into the passes that read
// it, where the kernels for `device` pool (conv2d_rows::pools).
bool fuse_conv2d_max_pool2d(Graph& graph, std::size_t index, const runtime::DeviceProfile& device);

}  // namespace vktrain::nn
