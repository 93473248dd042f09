// Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019). Slot 0 holds m, slot 1 holds v.
//   Adam: g += weight_decay w.  AdamW: w -= lr weight_decay w, with the lr of the step.
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   PyTorch: w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
//   Keras:   w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)
#pragma once

#include "nn/optimizers/optimizer_operation.h"

namespace vktrain::nn {

class Adam final : public OptimizerOperation {
 public:
  using OptimizerOperation::OptimizerOperation;
  std::string_view kind() const override {
    return config().kind == OptimizerKind::adamw ? "adamw" : "adam";
  }

 protected:
  std::string_view shader() const override { return "adam"; }
  std::array<std::uint32_t, 3> variant() const override;
  double flops_per_weight() const override { return 14; }
  void update(const OptimizerStep& step, std::span<double> weights,
              std::span<const double> gradients,
              std::array<std::span<double>, 2> slots) const override;
};

}  // namespace vktrain::nn
