// Initial values of parameters, as PyTorch and Keras define them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace vktrain::nn {

enum class InitializerKind {
  constant,         // value
  normal,           // N(0, value^2)
  uniform_fan_in,   // U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default for weights and biases
  xavier_normal,    // N(0, 2/(fan_in+fan_out)); Glorot & Bengio 2010
  xavier_uniform,   // U(+-sqrt(6/(fan_in+fan_out))); Keras's glorot_uniform
  kaiming_uniform,  // U(+-sqrt(6/fan_in)); He et al. 2015 with gain sqrt(2)
  kaiming_normal,   // N(0, 2/fan_in)
};

struct Initializer {
  InitializerKind kind = InitializerKind::constant;
  double value = 0;  // the constant, or the standard deviation of `normal`

  bool operator==(const Initializer&) const = default;
};

// Values for one parameter of `count` elements. `stream` numbers the parameter, so that each draws
// from random numbers of its own, whatever the others do; the same seed gives the same values on
// every platform.
std::vector<float> initial_values(const Initializer& initializer, std::int64_t count,
                                  std::int64_t fan_in, std::int64_t fan_out, std::uint64_t seed,
                                  std::uint32_t stream);

}  // namespace vktrain::nn
