// Double-precision twin of nn/ops/dropout.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

struct DropoutSettings {
  float probability = 0;
  std::array<std::uint32_t, 2> seed{};
  std::uint32_t step = 0;
  std::uint32_t slot = 0;
};

// keep ? 1 / (1 - p) : 0 for word `word` of the counter that starts with `block`.
double dropout_factor(std::int64_t block, std::int64_t word, const DropoutSettings& settings);

// y = keep ? x / (1 - p) : 0; x and y [rows, columns], row-major without padding. The mask is the
// device's, whose rows are padded to a multiple of 4 columns.
void dropout(std::int64_t rows, std::int64_t columns, const DropoutSettings& settings,
             std::span<const double> x, std::span<double> y);

}  // namespace vktrain::nn::reference
