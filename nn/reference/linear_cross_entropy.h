// Double-precision twin of nn/ops/linear_cross_entropy, row-major without padding.
#pragma once

#include <cstdint>
#include <span>

#include "nn/ops/activation.h"

namespace vktrain::nn::reference {

struct LinearCrossEntropySpans {
  std::span<const double> x;        // [batch, in]
  std::span<const double> weight;   // [classes, in]
  std::span<const double> bias;     // [classes], or empty
  std::span<const double> labels;   // [batch]
  std::span<double> loss;           // [batch]
  std::span<double> correct;        // [batch]
  std::span<double> logits;         // [batch, classes], or empty
  std::span<double> gradient;       // [batch, classes]
  std::span<double> data_gradient;  // [batch, in], or empty
};

// softmax_cross_entropy of logits = x W^T + b and its gradient; data_gradient = gradient W, times
// the derivative of `activation` where x is its output.
void linear_cross_entropy(std::int64_t batch, std::int64_t in, std::int64_t classes,
                          double smoothing, const ActivationSpec& activation,
                          const LinearCrossEntropySpans& spans);

}  // namespace vktrain::nn::reference
