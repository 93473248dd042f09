// See adagrad.h.
#include "nn/optimizers/adagrad.h"

#include "nn/reference/adagrad.h"

namespace vktrain::nn {

void Adagrad::update(const OptimizerStep& step, std::span<double> weights,
                     std::span<const double> gradients,
                     std::array<std::span<double>, 2> slots) const {
  reference::adagrad(step, weights, gradients, slots[0]);
}

}  // namespace vktrain::nn
