// Maximum over windows. Ties go to the first element in row-major order, as in PyTorch; padding
// never wins. The gradient goes to the element that won, gathered by the input elements, so that
// overlapping windows need no atomics.
#pragma once

#include <string_view>

#include "nn/operation.h"
#include "nn/ops/window2d.h"

namespace vktrain::nn {

// x [batch, C, H, W] -> [batch, C, OH, OW]. Throws Error when the window does not fit, or when its
// padding is as large as its reach (a window could lie in the padding alone).
ValueId max_pool2d(Graph& graph, ValueId x, const Window2d& window, std::string_view label);

}  // namespace vktrain::nn
