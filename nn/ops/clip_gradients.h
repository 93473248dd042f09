// Limits on the gradients of all parameters together, between the backward pass and the optimizer,
// as PyTorch's torch.nn.utils.clip_grad_value_ and clip_grad_norm_ define them:
//   value: g -> min(max(g, -value), value) for every element
//   norm:  g -> g * min(1, norm / (n + 1e-6)) with n the 2-norm of all gradients as one vector
// With both limits the values are clipped first. The gradients of L1 and L2 penalties are not among
// them, as the optimizer adds those (`check` of an experiment refuses the combination); nor is
// weight decay, as in PyTorch.
#pragma once

#include <string_view>
#include <vector>

#include "nn/operation.h"

namespace vktrain::nn {

struct GradientLimits {
  double value = 0;  // 0: no limit
  double norm = 0;   // 0: no limit
};

// For a differentiated graph, before add_optimizer; adds nothing without a limit. Throws Error when
// a limit is negative or not a number.
void clip_gradients(Graph& graph, const GradientLimits& limits);

// In place, over the whole gradient range: for the norm one dispatch of partial sums and one that
// adds these up and scales.
class ClipGradients : public Operation {
 public:
  ClipGradients(const std::vector<ValueId>& gradients, const GradientLimits& limits)
      : Operation(gradients, gradients), limits_(limits) {}

  std::string_view kind() const override { return "clip_gradients"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

 private:
  GradientLimits limits_;
};

}  // namespace vktrain::nn
