#include "nn/reference/activation.h"

#include <cmath>
#include <numbers>

namespace vktrain::nn::reference {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Of the standard normal distribution.
double cumulative(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }
double density(double x) {
  return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
}

}  // namespace

double activation(const ActivationSpec& activation, double x) {
  switch (activation.kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::elu:
      return x > 0 ? x : static_cast<double>(activation.alpha) * std::expm1(x);
    case Activation::leaky_relu:
      return x > 0 ? x : static_cast<double>(activation.alpha) * x;
    case Activation::gelu:
      return x * cumulative(x);
    case Activation::silu:
      return x * sigmoid(x);
  }
  return x;
}

void activate(const ActivationSpec& spec, std::span<double> values) {
  for (double& value : values) value = activation(spec, value);
}

double activation_derivative(const ActivationSpec& activation, double operand) {
  const double x = operand, y = operand;
  switch (activation.kind) {
    case Activation::none:
      return 1;
    case Activation::relu:
      return y > 0 ? 1 : 0;
    case Activation::tanh:
      return 1 - y * y;
    case Activation::sigmoid:
      return y * (1 - y);
    case Activation::elu:
      return y > 0 ? 1 : y + static_cast<double>(activation.alpha);
    case Activation::leaky_relu:
      return y > 0 ? 1 : static_cast<double>(activation.alpha);
    case Activation::gelu:
      return cumulative(x) + x * density(x);
    case Activation::silu:
      return sigmoid(x) * (1 + x * sigmoid(-x));
  }
  return 1;
}

}  // namespace vktrain::nn::reference
