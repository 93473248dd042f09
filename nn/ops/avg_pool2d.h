// Mean over windows, with or without counting the padding, and the mean over whole planes.
#pragma once

#include <string_view>

#include "nn/operation.h"
#include "nn/ops/window2d.h"

namespace vktrain::nn {

// x [batch, C, H, W] -> [batch, C, OH, OW]. With `count_include_pad` (PyTorch's default) the
// divisor is the window's size, without (Keras) the number of its elements inside of the input.
// Throws Error when the window does not fit.
ValueId avg_pool2d(Graph& graph, ValueId x, const Window2d& window, bool count_include_pad,
                   std::string_view label);

// x [batch, C, H, W] -> [batch, C]
ValueId global_avg_pool2d(Graph& graph, ValueId x, std::string_view label);

}  // namespace vktrain::nn
