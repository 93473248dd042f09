#include "nn/reference/dropout2d.h"

namespace vktrain::nn::reference {

void dropout2d(std::int64_t rows, std::int64_t channels, std::int64_t plane,
               const DropoutSettings& settings, std::span<const double> x, std::span<double> y) {
  const auto size = static_cast<std::size_t>(plane);
  for (std::int64_t draw = 0; draw < rows * channels; ++draw) {
    const double factor = dropout_factor(draw / 4, draw % 4, settings);
    const std::size_t begin = static_cast<std::size_t>(draw) * size;
    for (std::size_t i = begin; i < begin + size; ++i) y[i] = factor * x[i];
  }
}

}  // namespace vktrain::nn::reference
