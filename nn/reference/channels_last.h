// Double-precision twin of nn/ops/channels_last.
#pragma once

#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

// y[n, j, i] = x[n, i, j]; x [batch, rows, columns], y [batch, columns, rows]
void transpose_rows(std::int64_t batch, std::int64_t rows, std::int64_t columns,
                    std::span<const double> x, std::span<double> y);

}  // namespace vktrain::nn::reference
