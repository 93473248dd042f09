// Operands of mixed precision (nn/precision.h) in double.
#pragma once

#include <span>
#include <vector>

namespace vktrain::nn::reference {

// The nearest half float (IEEE 754 binary16), ties to even; magnitudes past 65504 become that,
// infinities and NaN stay.
double to_half(double value);

// What `value * scale`, rounded, stands for.
std::vector<double> half_operand(std::span<const double> values, double scale);

}  // namespace vktrain::nn::reference
