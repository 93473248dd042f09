// Dropout of whole channels: y[n, c] = keep[n, c] ? x[n, c] / (1 - p) : 0, one draw per image and
// channel (Tompson et al. 2015). The random numbers are those of nn/ops/dropout.h; draw
// i = n * C + c takes word i % 4 of the counter (i / 4, step, slot, RandomUse::dropout), so that
// every vec4 of draws is one call of Philox, and backward draws what forward drew.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/operation.h"
#include "nn/ops/step_state.h"

namespace vktrain::nn {

// x [batch, C, H, W]; `slot` as in dropout(). Throws Error for another rank or a slot too many.
ValueId dropout2d(Graph& graph, ValueId x, std::uint32_t slot, const StepInputs& inputs,
                  std::string_view label);

// Its own derivative: the same mask applied to the gradient.
class Dropout2d : public Operation {
 public:
  Dropout2d(ValueId x, ValueId y, std::uint32_t slot, ValueId state, ValueId hyperparameters)
      : Operation({x, state, hyperparameters}, {y}), slot_(slot) {}

  std::string_view kind() const override { return "dropout2d"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId state() const { return inputs_[1]; }
  ValueId hyperparameters() const { return inputs_[2]; }
  ValueId y() const { return outputs_[0]; }
  std::uint32_t slot() const { return slot_; }

 private:
  std::uint32_t slot_;
};

}  // namespace vktrain::nn
