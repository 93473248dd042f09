// Double-precision twin of nn/ops/avg_pool2d: scatters where the kernels gather.
#pragma once

#include <span>

#include "nn/ops/pool2d.h"

namespace vktrain::nn::reference {

// x [batch, C, H, W], y [batch, C, OH, OW], row-major. The divisor is the kernel's size with
// `count_include_pad`, else the number of elements inside of the input.
void avg_pool2d(const Pool2dSizes& sizes, bool count_include_pad, std::span<const double> x,
                std::span<double> y);
void avg_pool2d_backward(const Pool2dSizes& sizes, bool count_include_pad,
                         std::span<const double> dy, std::span<double> dx);

}  // namespace vktrain::nn::reference
