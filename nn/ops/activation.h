// Pointwise activation functions y = f(x) and their derivatives.
// Most derivatives are functions of the output y alone, so that x need not be kept and a GEMM can
// apply the function while it stores. gelu and silu are not monotonic: their derivatives need x.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/operation.h"

namespace vktrain::nn {

// The numbers stand in shaders/activation.glsl, too.
enum class Activation : std::uint32_t {
  none = 0,        // x                         1
  relu = 1,        // max(x, 0)                 y > 0 ? 1 : 0
  tanh = 2,        // tanh x                    1 - y^2
  sigmoid = 3,     // s(x) = 1 / (1 + e^-x)     y (1 - y)
  elu = 4,         // x > 0 ? x : a (e^x - 1)   y > 0 ? 1 : y + a (Clevert et al. 2016)
  leaky_relu = 5,  // x > 0 ? x : a x           y > 0 ? 1 : a     (Maas et al. 2013)
  gelu = 6,        // x P(x), P normal's cdf    P(x) + x P'(x)    (Hendrycks and Gimpel 2016)
  silu = 7,        // x s(x)                    s (1 + x (1 - s)) (Elfwing et al. 2018)
};
std::string_view to_string(Activation kind);

// Whether the derivative is a function of x (gelu, silu) instead of y.
bool derivative_needs_input(Activation kind);

// Whether f never decreases: the largest x has the largest y.
bool is_monotonic(Activation kind);

struct ActivationSpec {
  Activation kind = Activation::none;
  float alpha = 1;  // of elu and leaky_relu; > 0

  bool operator==(const ActivationSpec&) const = default;
};

// y = f(x), of x's shape; x itself for Activation::none. Throws Error for an elu or leaky_relu
// whose alpha is not a positive number.
ValueId activation(Graph& graph, ValueId x, const ActivationSpec& activation,
                   std::string_view label);

class ActivationForward : public Operation {
 public:
  ActivationForward(ValueId x, ValueId y, const ActivationSpec& activation)
      : Operation({x}, {y}), activation_(activation) {}

  std::string_view kind() const override { return "activation_forward"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId y() const { return outputs_[0]; }
  const ActivationSpec& activation() const { return activation_; }

 private:
  ActivationSpec activation_;
};

// dx = dy * f', with f' taken from `operand`: x where derivative_needs_input, else y.
class ActivationBackward : public Operation {
 public:
  ActivationBackward(ValueId dy, ValueId operand, ValueId dx, const ActivationSpec& activation)
      : Operation({dy, operand}, {dx}), activation_(activation) {}

  std::string_view kind() const override { return "activation_backward"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId dy() const { return inputs_[0]; }
  ValueId operand() const { return inputs_[1]; }
  ValueId dx() const { return outputs_[0]; }
  const ActivationSpec& activation() const { return activation_; }

 private:
  ActivationSpec activation_;
};

}  // namespace vktrain::nn
