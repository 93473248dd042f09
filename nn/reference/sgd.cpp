// See nn/optimizers/sgd.h for the formulas.
#include "nn/reference/sgd.h"

namespace vktrain::nn::reference {

namespace {

double pytorch_direction(const SgdVariant& variant, const OptimizerStep& step, double g,
                         double& buffer) {
  buffer = step.first ? g : step.momentum * buffer + (1 - step.dampening) * g;
  return variant.nesterov ? g + step.momentum * buffer : buffer;
}

double keras_change(const SgdVariant& variant, const OptimizerStep& step, double g,
                    double& buffer) {
  buffer = step.momentum * buffer - step.learning_rate * g;
  return variant.nesterov ? step.momentum * buffer - step.learning_rate * g : buffer;
}

}  // namespace

void sgd(const SgdVariant& variant, const OptimizerStep& step, std::span<double> weights,
         std::span<const double> gradients, std::span<double> buffer) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double g = gradients[i] + step.weight_decay * weights[i];
    if (!variant.momentum) {
      weights[i] -= step.learning_rate * g;
    } else if (variant.keras) {
      weights[i] += keras_change(variant, step, g, buffer[i]);
    } else {
      weights[i] -= step.learning_rate * pytorch_direction(variant, step, g, buffer[i]);
    }
  }
}

}  // namespace vktrain::nn::reference
