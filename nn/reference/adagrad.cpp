// See nn/optimizers/adagrad.h for the formula.
#include "nn/reference/adagrad.h"

#include <cmath>

namespace vktrain::nn::reference {

void adagrad(const OptimizerStep& step, std::span<double> weights,
             std::span<const double> gradients, std::span<double> accumulator) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double g = gradients[i] + step.weight_decay * weights[i];
    accumulator[i] += g * g;
    weights[i] -= step.learning_rate * g / (std::sqrt(accumulator[i]) + step.epsilon);
  }
}

}  // namespace vktrain::nn::reference
