// Sum of two values of one shape: skip connections, and gradients of a value with several uses.
#pragma once

#include <string_view>

#include "nn/operation.h"
#include "nn/ops/activation.h"

namespace vktrain::nn {

// y = a + b. Throws Error when the shapes differ.
ValueId add(Graph& graph, ValueId a, ValueId b, std::string_view label);

class Add : public Operation {
 public:
  // The sum goes through `activation`, where a fusion put it there.
  Add(ValueId a, ValueId b, ValueId sum, const ActivationSpec& activation = {})
      : Operation({a, b}, {sum}), activation_(activation) {}

  std::string_view kind() const override { return "add"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId a() const { return inputs_[0]; }
  ValueId b() const { return inputs_[1]; }
  ValueId sum() const { return outputs_[0]; }
  const ActivationSpec& activation() const { return activation_; }

 private:
  ActivationSpec activation_;
};

}  // namespace vktrain::nn
