// Double-precision twin of nn/ops/clip_gradients.
#pragma once

#include <span>

namespace vktrain::nn::reference {

// g -> min(max(g, -limit), limit)
void clip_by_value(double limit, std::span<const std::span<double>> gradients);

// g -> g * min(1, limit / (n + 1e-6)), n the 2-norm of all gradients together
void clip_by_norm(double limit, std::span<const std::span<double>> gradients);

}  // namespace vktrain::nn::reference
