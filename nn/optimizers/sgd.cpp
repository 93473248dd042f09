// See sgd.h.
#include "nn/optimizers/sgd.h"

#include "nn/reference/sgd.h"

namespace vktrain::nn {

// MOMENTUM, NESTEROV, KERAS of shaders/sgd.comp.
std::array<std::uint32_t, 3> Sgd::variant() const {
  return {config().momentum > 0, config().nesterov,
          config().definition == OptimizerDefinition::keras};
}

void Sgd::update(const OptimizerStep& step, std::span<double> weights,
                 std::span<const double> gradients, std::array<std::span<double>, 2> slots) const {
  const reference::SgdVariant variant{
      .momentum = config().momentum > 0,
      .nesterov = config().nesterov,
      .keras = config().definition == OptimizerDefinition::keras,
  };
  reference::sgd(variant, step, weights, gradients, slots[0]);
}

}  // namespace vktrain::nn
