// Double-precision twins of nn/ops/activation.
#pragma once

#include <span>

#include "nn/ops/activation.h"

namespace vktrain::nn::reference {

// y = f(x)
double activation(const ActivationSpec& activation, double x);
// The same for every element.
void activate(const ActivationSpec& activation, std::span<double> values);
// f'(x) as a function of `operand`: x where derivative_needs_input, else y = f(x)
double activation_derivative(const ActivationSpec& activation, double operand);

}  // namespace vktrain::nn::reference
