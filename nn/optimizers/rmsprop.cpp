// See rmsprop.h.
#include "nn/optimizers/rmsprop.h"

#include "nn/reference/rmsprop.h"

namespace vktrain::nn {

// MOMENTUM, KERAS of shaders/rmsprop.comp.
std::array<std::uint32_t, 3> RmsProp::variant() const {
  return {config().momentum > 0, config().definition == OptimizerDefinition::keras};
}

void RmsProp::update(const OptimizerStep& step, std::span<double> weights,
                     std::span<const double> gradients,
                     std::array<std::span<double>, 2> slots) const {
  const reference::RmsPropVariant variant{
      .momentum = config().momentum > 0,
      .keras = config().definition == OptimizerDefinition::keras,
  };
  reference::rmsprop(variant, step, weights, gradients, slots[0], slots[1]);
}

}  // namespace vktrain::nn
