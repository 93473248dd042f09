#include "nn/reference/dropout.h"

#include "nn/rng.h"

namespace vktrain::nn::reference {

double dropout_factor(std::int64_t block, std::int64_t word, const DropoutSettings& settings) {
  const double p = settings.probability;
  const auto words = philox4x32({static_cast<std::uint32_t>(block), settings.step, settings.slot,
                                 static_cast<std::uint32_t>(RandomUse::dropout)},
                                settings.seed);
  const double uniform = (words[static_cast<std::size_t>(word)] >> 8) * 0x1p-24;
  return p <= 0 ? 1 : uniform >= p ? 1 / (1 - p) : 0;
}

void dropout(std::int64_t rows, std::int64_t columns, const DropoutSettings& settings,
             std::span<const double> x, std::span<double> y) {
  const std::int64_t row_stride = (columns + 3) / 4;  // vec4
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const auto i = static_cast<std::size_t>(row * columns + column);
      y[i] = x[i] * dropout_factor(row * row_stride + column / 4, column % 4, settings);
    }
  }
}

}  // namespace vktrain::nn::reference
