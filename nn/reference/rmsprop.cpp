// See nn/optimizers/rmsprop.h for the formulas.
#include "nn/reference/rmsprop.h"

#include <cmath>

namespace vktrain::nn::reference {

void rmsprop(const RmsPropVariant& variant, const OptimizerStep& step, std::span<double> weights,
             std::span<const double> gradients, std::span<double> v, std::span<double> buffer) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double g = gradients[i] + step.weight_decay * weights[i];
    v[i] = step.beta1 * v[i] + step.one_minus_beta1 * g * g;
    const double direction = g / (std::sqrt(v[i]) + step.epsilon);
    if (!variant.momentum) {
      weights[i] -= step.learning_rate * direction;
    } else if (variant.keras) {
      buffer[i] = step.momentum * buffer[i] + step.learning_rate * direction;
      weights[i] -= buffer[i];
    } else {
      buffer[i] = step.momentum * buffer[i] + direction;
      weights[i] -= step.learning_rate * buffer[i];
    }
  }
}

}  // namespace vktrain::nn::reference
