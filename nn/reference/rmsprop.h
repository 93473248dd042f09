// Reference of nn/optimizers/rmsprop.h: one step of one tensor, in double.
#pragma once

#include <span>

#include "nn/reference/optimizer_step.h"

namespace vktrain::nn::reference {

struct RmsPropVariant {
  bool momentum = false;
  bool keras = false;
};

// `buffer` may be empty without momentum.
void rmsprop(const RmsPropVariant& variant, const OptimizerStep& step, std::span<double> weights,
             std::span<const double> gradients, std::span<double> v, std::span<double> buffer);

}  // namespace vktrain::nn::reference
