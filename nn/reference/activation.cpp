#include "nn/reference/activation.h"

#include <cmath>

namespace vktrain::nn::reference {

double activation(const ActivationSpec& activation, double x) {
  switch (activation.kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::elu:
      return x > 0 ? x : static_cast<double>(activation.alpha) * std::expm1(x);
  }
  return x;
}

double activation_derivative(const ActivationSpec& activation, double y) {
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
  }
  return 1;
}

}  // namespace vktrain::nn::reference
