// Reference of nn/optimizers/adagrad.h: one step of one tensor, in double.
#pragma once

#include <span>

#include "nn/reference/optimizer_step.h"

namespace vktrain::nn::reference {

void adagrad(const OptimizerStep& step, std::span<double> weights,
             std::span<const double> gradients, std::span<double> accumulator);

}  // namespace vktrain::nn::reference
