#include "nn/reference/dropout.h"

#include "nn/rng.h"

namespace vktrain::nn::reference {

void dropout(std::int64_t rows, std::int64_t columns, const DropoutSettings& settings,
             std::span<const double> x, std::span<double> y) {
  const double p = settings.probability;
  const std::int64_t row_stride = (columns + 3) / 4;  // vec4
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const auto i = static_cast<std::size_t>(row * columns + column);
      const auto block = static_cast<std::uint32_t>(row * row_stride + column / 4);
      const auto words = philox4x32(
          {block, settings.step, settings.slot, static_cast<std::uint32_t>(RandomUse::dropout)},
          settings.seed);
      const double uniform = (words[static_cast<std::size_t>(column % 4)] >> 8) * 0x1p-24;
      y[i] = p <= 0 ? x[i] : uniform >= p ? x[i] / (1 - p) : 0;
    }
  }
}

}  // namespace vktrain::nn::reference
