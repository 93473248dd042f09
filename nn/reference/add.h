// Double-precision twin of nn/ops/add.
#pragma once

#include <span>

namespace vktrain::nn::reference {

// sum = a + b, all of one size
void add(std::span<const double> a, std::span<const double> b, std::span<double> sum);

}  // namespace vktrain::nn::reference
