#include "nn/reference/bias_add.h"

#include <algorithm>

namespace vktrain::nn::reference {

void bias_add(std::int64_t rows, std::int64_t channels, std::int64_t plane,
              std::span<const double> x, std::span<const double> bias, std::span<double> y) {
  const auto c = static_cast<std::size_t>(channels), p = static_cast<std::size_t>(plane);
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows) * c * p; ++i) {
    y[i] = x[i] + bias[i / p % c];
  }
}

void column_sum(std::int64_t rows, std::int64_t columns, std::span<const double> x,
                std::span<double> sum) {
  const auto c = static_cast<std::size_t>(columns);
  std::fill(sum.begin(), sum.end(), 0.0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows) * c; ++i) sum[i % c] += x[i];
}

}  // namespace vktrain::nn::reference
