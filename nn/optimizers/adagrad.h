// Adagrad (Duchi, Hazan & Singer 2011). Slot 0 holds the accumulator a, which starts at
// `initial_accumulator` (PyTorch 0, Keras 0.1).
//   g += weight_decay w;  a += g^2;  w -= lr g / (sqrt(a) + epsilon)
#pragma once

#include "nn/optimizers/optimizer_operation.h"

namespace vktrain::nn {

class Adagrad final : public OptimizerOperation {
 public:
  using OptimizerOperation::OptimizerOperation;
  std::string_view kind() const override { return "adagrad"; }

 protected:
  std::array<std::uint32_t, 3> variant() const override { return {}; }
  double flops_per_weight() const override { return 8; }
  void update(const OptimizerStep& step, std::span<double> weights,
              std::span<const double> gradients,
              std::array<std::span<double>, 2> slots) const override;
};

}  // namespace vktrain::nn
