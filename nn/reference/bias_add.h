// Double-precision twins of nn/ops/bias_add. Matrices are row-major without padding.
#pragma once

#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

// y[n, c, i] = x[n, c, i] + bias[c]; x and y [rows, channels, plane], bias [channels]
void bias_add(std::int64_t rows, std::int64_t channels, std::int64_t plane,
              std::span<const double> x, std::span<const double> bias, std::span<double> y);

// sum[c] = sum over n of x[n, c]; x [rows, columns], sum [columns]
void column_sum(std::int64_t rows, std::int64_t columns, std::span<const double> x,
                std::span<double> sum);

}  // namespace vktrain::nn::reference
