// Stochastic gradient descent with momentum b (slot 0).
//   PyTorch: g += weight_decay w;  b = momentum b + (1 - dampening) g, at the first step b = g;
//            w -= lr b, with Nesterov w -= lr (g + momentum b)
//   Keras:   b = momentum b - lr g;  w += b, with Nesterov w += momentum b - lr g
// Without momentum both are w -= lr g.
#pragma once

#include "nn/optimizers/optimizer_operation.h"

namespace vktrain::nn {

class Sgd final : public OptimizerOperation {
 public:
  using OptimizerOperation::OptimizerOperation;
  std::string_view kind() const override { return "sgd"; }

 protected:
  std::array<std::uint32_t, 3> variant() const override;
  double flops_per_weight() const override { return config().momentum > 0 ? 6 : 4; }
  void update(const OptimizerStep& step, std::span<double> weights,
              std::span<const double> gradients,
              std::array<std::span<double>, 2> slots) const override;
};

}  // namespace vktrain::nn
