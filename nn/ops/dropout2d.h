// Dropout of whole channels: y[n, c] = keep[n, c] ? x[n, c] / (1 - p) : 0, one draw per image and
// channel (Tompson et al. 2015). The random numbers are those of nn/ops/dropout.h, by position.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/operation.h"
#include "nn/ops/step_state.h"

namespace vktrain::nn {

// x [batch, C, H, W]; `slot` as in dropout(). Throws Error for another rank or a slot too many.
ValueId dropout2d(Graph& graph, ValueId x, std::uint32_t slot, const StepInputs& inputs,
                  std::string_view label);

}  // namespace vktrain::nn
