// Double-precision twin of nn/ops/dropout2d.
#pragma once

#include "nn/reference/dropout.h"

namespace vktrain::nn::reference {

// y[n, c, i] = keep[n, c] ? x[n, c, i] / (1 - p) : 0; x and y [rows, channels, plane] without
// padding.
void dropout2d(std::int64_t rows, std::int64_t channels, std::int64_t plane,
               const DropoutSettings& settings, std::span<const double> x, std::span<double> y);

}  // namespace vktrain::nn::reference
