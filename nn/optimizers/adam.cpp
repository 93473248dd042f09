// See adam.h.
#include "nn/optimizers/adam.h"

#include "nn/reference/adam.h"

namespace vktrain::nn {

// DECOUPLED_WEIGHT_DECAY, KERAS_EPSILON of shaders/adam.comp.
std::array<std::uint32_t, 3> Adam::variant() const {
  return {config().kind == OptimizerKind::adamw, config().definition == OptimizerDefinition::keras};
}

void Adam::update(const OptimizerStep& step, std::span<double> weights,
                  std::span<const double> gradients, std::array<std::span<double>, 2> slots) const {
  const reference::AdamVariant variant{
      .decoupled_weight_decay = config().kind == OptimizerKind::adamw,
      .keras_epsilon = config().definition == OptimizerDefinition::keras,
  };
  reference::adam(variant, step, weights, gradients, slots[0], slots[1]);
}

}  // namespace vktrain::nn
