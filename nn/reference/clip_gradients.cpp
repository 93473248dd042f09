#include "nn/reference/clip_gradients.h"

#include <algorithm>
#include <cmath>

namespace vktrain::nn::reference {

void clip_by_value(double limit, std::span<const std::span<double>> gradients) {
  for (const std::span<double> gradient : gradients) {
    for (double& g : gradient) g = std::clamp(g, -limit, limit);
  }
}

void clip_by_norm(double limit, std::span<const std::span<double>> gradients) {
  double squares = 0;
  for (const std::span<double> gradient : gradients) {
    for (const double g : gradient) squares += g * g;
  }
  const double factor = std::min(1.0, limit / (std::sqrt(squares) + 1e-6));
  for (const std::span<double> gradient : gradients) {
    for (double& g : gradient) g *= factor;
  }
}

}  // namespace vktrain::nn::reference
