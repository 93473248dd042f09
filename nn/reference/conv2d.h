// Double-precision twins of the three passes of nn/ops/conv2d. Row-major without padding:
// x [N, C, H, W], weight [O, C/groups, KH, KW], y [N, O, OH, OW]; gradients like their values.
#pragma once

#include <span>

#include "nn/ops/conv2d.h"

namespace vktrain::nn::reference {

void conv2d(const Conv2dSizes& sizes, std::span<const double> x, std::span<const double> weight,
            std::span<double> y);

// dx from dy: the transpose of conv2d as a function of x.
void conv2d_data_gradient(const Conv2dSizes& sizes, std::span<const double> dy,
                          std::span<const double> weight, std::span<double> dx);

// dweight from dy: the transpose of conv2d as a function of the weight.
void conv2d_weight_gradient(const Conv2dSizes& sizes, std::span<const double> dy,
                            std::span<const double> x, std::span<double> dweight);

}  // namespace vktrain::nn::reference
