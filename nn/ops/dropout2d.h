// Dropout of whole channels: y[n, c] = keep[n, c] ? x[n, c] / (1 - p) : 0, one draw per image and
// channel (Tompson et al. 2015). The random numbers are those of nn/ops/dropout.h; draw
// i = n * C + c takes word i % 4 of the counter (i / 4, step, slot, RandomUse::dropout), so that
// every vec4 of draws is one call of Philox, and backward draws what forward drew.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/ops/dropout.h"
#include "nn/ops/step_state.h"

namespace vktrain::nn {

// x [batch, C, H, W]; `slot` as in dropout(). Throws Error for another rank or a slot too many.
ValueId dropout2d(Graph& graph, ValueId x, std::uint32_t slot, const StepInputs& inputs,
                  std::string_view label);

class Dropout2d : public DropoutOperation {
 public:
  using DropoutOperation::DropoutOperation;

  std::string_view kind() const override { return "dropout2d"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;
};

}  // namespace vktrain::nn
