// Flatten in Keras's order: [batch, C, H, W] -> [batch, H * W * C] with the channels fastest.
// (PyTorch's order, channels first, moves nothing: flatten() of nn/ops/reshape.h.)
#pragma once

#include <string_view>

#include "nn/operation.h"

namespace vktrain::nn {

// Throws Error when x has no four dimensions.
ValueId flatten_channels_last(Graph& graph, ValueId x, std::string_view label);

}  // namespace vktrain::nn
