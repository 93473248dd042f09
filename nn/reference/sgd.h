// Reference of nn/optimizers/sgd.h: one step of one tensor, in double.
#pragma once

#include <span>

#include "nn/reference/optimizer_step.h"

namespace vktrain::nn::reference {

struct SgdVariant {
  bool momentum = false;
  bool nesterov = false;
  bool keras = false;
};

// `buffer` may be empty without momentum.
void sgd(const SgdVariant& variant, const OptimizerStep& step, std::span<double> weights,
         std::span<const double> gradients, std::span<double> buffer);

}  // namespace vktrain::nn::reference
