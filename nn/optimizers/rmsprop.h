// RMSprop (Tieleman & Hinton 2012), not centred. Slot 0 holds v, slot 1 the momentum buffer b.
//   g += weight_decay w;  v = alpha v + (1 - alpha) g^2;  d = g / (sqrt(v) + epsilon)
//   Without momentum:  w -= lr d
//   PyTorch:  b = momentum b + d;     w -= lr b
//   Keras:    b = momentum b + lr d;  w -= b
// Keras 2 without momentum is exactly this; its momentum path and Keras 3 put epsilon inside the
// square root, which this program does not follow.
#pragma once

#include "nn/optimizers/optimizer_operation.h"

namespace vktrain::nn {

class RmsProp final : public OptimizerOperation {
 public:
  using OptimizerOperation::OptimizerOperation;
  std::string_view kind() const override { return "rmsprop"; }

 protected:
  std::array<std::uint32_t, 3> variant() const override;
  double flops_per_weight() const override { return config().momentum > 0 ? 12 : 10; }
  void update(const OptimizerStep& step, std::span<double> weights,
              std::span<const double> gradients,
              std::array<std::span<double>, 2> slots) const override;
};

}  // namespace vktrain::nn
