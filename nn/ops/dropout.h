// Dropout (Srivastava et al. 2014), scaled while training: y = keep ? x / (1 - p) : 0.
// The mask is never stored: forward and backward draw it from Philox4x32-10 with the replica's seed
// as key and (vec4 index in the padded layout, step, slot, RandomUse::dropout) as counter. An
// element is kept when float(word >> 8) * 2^-24 >= p, so p = 0 is the identity.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/operation.h"
#include "nn/ops/step_state.h"

namespace vktrain::nn {

namespace reference {
struct DropoutSettings;
}

// `slot` numbers the network's dropout layers; the probability is Hyperparameters::dropout[slot].
// Throws Error when slot >= kMaxDropoutLayers. For evaluation leave the operation out.
ValueId dropout(Graph& graph, ValueId x, std::uint32_t slot, const StepInputs& inputs,
                std::string_view label);

// Shared with nn/ops/dropout2d: throws Error, in the name of `kind`, when slot >=
// kMaxDropoutLayers.
void check_dropout_slot(std::string_view kind, std::uint32_t slot, std::string_view label);
inline constexpr std::uint32_t kHyperparameterWords = sizeof(Hyperparameters) / 4;
// The settings of one slot for the reference.
reference::DropoutSettings dropout_settings(const ReferenceMemory& memory, ValueId state,
                                            ValueId hyperparameters, std::uint32_t slot);

// What dropout of elements and of channels have in common. Each is its own derivative: the same
// mask applied to the gradient.
class DropoutOperation : public Operation {
 public:
  DropoutOperation(ValueId x, ValueId y, std::uint32_t slot, ValueId state, ValueId hyperparameters)
      : Operation({x, state, hyperparameters}, {y}), slot_(slot) {}

  ValueId x() const { return inputs_[0]; }
  ValueId state() const { return inputs_[1]; }
  ValueId hyperparameters() const { return inputs_[2]; }
  ValueId y() const { return outputs_[0]; }
  std::uint32_t slot() const { return slot_; }

 private:
  std::uint32_t slot_;
};

class Dropout : public DropoutOperation {
 public:
  using DropoutOperation::DropoutOperation;

  std::string_view kind() const override { return "dropout"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;
};

}  // namespace vktrain::nn
