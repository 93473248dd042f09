// Reference of nn/optimizers/adam.h: one step of one tensor, in double.
#pragma once

#include <span>

#include "nn/reference/optimizer_step.h"

namespace vktrain::nn::reference {

struct AdamVariant {
  bool decoupled_weight_decay = false;
  bool keras_epsilon = false;
};

void adam(const AdamVariant& variant, const OptimizerStep& step, std::span<double> weights,
          std::span<const double> gradients, std::span<double> m, std::span<double> v);

}  // namespace vktrain::nn::reference
