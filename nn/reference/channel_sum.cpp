#include "nn/reference/channel_sum.h"

#include <algorithm>

namespace vktrain::nn::reference {

void channel_sum(std::int64_t rows, std::int64_t channels, std::int64_t plane,
                 std::span<const double> x, std::span<double> sum) {
  std::fill(sum.begin(), sum.end(), 0.0);
  const auto c = static_cast<std::size_t>(channels), p = static_cast<std::size_t>(plane);
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows) * c * p; ++i) sum[i / p % c] += x[i];
}

}  // namespace vktrain::nn::reference
