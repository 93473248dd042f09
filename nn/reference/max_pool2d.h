// Double-precision twin of nn/ops/max_pool2d: scatters where the kernels gather.
#pragma once

#include <span>
#include <vector>

#include "nn/ops/pool2d.h"

namespace vktrain::nn::reference {

// x [batch, C, H, W]; y and winners [batch, C, OH, OW], row-major.
void max_pool2d(const Pool2dSizes& sizes, std::span<const double> x, std::span<double> y,
                std::span<double> winners);

// dx[winner] += dy
void max_pool2d_backward(const Pool2dSizes& sizes, std::span<const double> dy,
                         std::span<const double> winners, std::span<double> dx);

// Tiles of 2 x 2 with packed winners [batch, C, OH]; see Conv2dEpilogue (nn/ops/conv2d.h).
void max_pool2d_packed(const Pool2dSizes& sizes, std::span<const double> x, std::span<double> y,
                       std::span<double> packed_winners);

// dx of such tiles.
std::vector<double> max_pool2d_gradient(const Pool2dSizes& sizes, std::span<const double> dy,
                                        std::span<const double> packed_winners);

}  // namespace vktrain::nn::reference
