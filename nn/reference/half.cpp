#include "nn/reference/half.h"

#include <algorithm>
#include <cmath>

namespace vktrain::nn::reference {

double to_half(double value) {
  constexpr double kLargest = 65504;
  constexpr int kDigits = 11;       // of the significand, with the leading one
  constexpr int kLeastPower = -24;  // of the last digit of a subnormal number
  if (!std::isfinite(value)) return value;
  int exponent = 0;
  std::frexp(value, &exponent);
  const int last = std::max(exponent - kDigits, kLeastPower);
  // nearbyint: to nearest, ties to even, in the rounding mode that a program starts with.
  return std::clamp(std::ldexp(std::nearbyint(std::ldexp(value, -last)), last), -kLargest,
                    kLargest);
}

std::vector<double> half_operand(std::span<const double> values, double scale) {
  std::vector<double> rounded(values.size());
  std::ranges::transform(values, rounded.begin(),
                         [scale](double value) { return to_half(value * scale) / scale; });
  return rounded;
}

}  // namespace vktrain::nn::reference
