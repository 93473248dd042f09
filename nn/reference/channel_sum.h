// Double-precision twin of nn/ops/channel_sum.
#pragma once

#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

// sum[c] = sum over n and i of x[n, c, i]; x [rows, channels, plane] without padding
void channel_sum(std::int64_t rows, std::int64_t channels, std::int64_t plane,
                 std::span<const double> x, std::span<double> sum);

}  // namespace vktrain::nn::reference
