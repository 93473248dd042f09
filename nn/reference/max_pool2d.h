// Double-precision twin of nn/ops/max_pool2d: scatters where the kernels gather.
#pragma once

#include <span>

#include "nn/ops/pool2d.h"

namespace vktrain::nn::reference {

// x [batch, C, H, W]; y and winners [batch, C, OH, OW], row-major.
void max_pool2d(const Pool2dSizes& sizes, std::span<const double> x, std::span<double> y,
                std::span<double> winners);

// dx[winner] += dy
void max_pool2d_backward(const Pool2dSizes& sizes, std::span<const double> dy,
                         std::span<const double> winners, std::span<double> dx);

}  // namespace vktrain::nn::reference
