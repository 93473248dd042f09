// See nn/optimizers/adam.h for the formulas.
#include "nn/reference/adam.h"

#include <cmath>

namespace vktrain::nn::reference {

void adam(const AdamVariant& variant, const OptimizerStep& step, std::span<double> weights,
          std::span<const double> gradients, std::span<double> m, std::span<double> v) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    double g = gradients[i];
    if (variant.decoupled_weight_decay) {
      weights[i] *= 1 - step.learning_rate * step.weight_decay;
    } else {
      g += step.weight_decay * weights[i];
    }
    m[i] = step.beta1 * m[i] + step.one_minus_beta1 * g;
    v[i] = step.beta2 * v[i] + step.one_minus_beta2 * g * g;
    if (variant.keras_epsilon) {
      weights[i] -= step.learning_rate * step.sqrt_bias_correction2 / step.bias_correction1 * m[i] /
                    (std::sqrt(v[i]) + step.epsilon);
    } else {
      weights[i] -= step.learning_rate / step.bias_correction1 * m[i] /
                    (std::sqrt(v[i]) / step.sqrt_bias_correction2 + step.epsilon);
    }
  }
}

}  // namespace vktrain::nn::reference
