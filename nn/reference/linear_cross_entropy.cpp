#include "nn/reference/linear_cross_entropy.h"

#include <algorithm>
#include <vector>

#include "nn/reference/activation.h"
#include "nn/reference/gemm.h"
#include "nn/reference/softmax_cross_entropy.h"

namespace vktrain::nn::reference {

void linear_cross_entropy(std::int64_t batch, std::int64_t in, std::int64_t classes,
                          double smoothing, const ActivationSpec& activation,
                          const LinearCrossEntropySpans& s) {
  std::vector<double> logits(s.gradient.size());
  gemm(false, true, batch, classes, in, s.x, s.weight, logits);
  for (std::size_t i = 0; i < logits.size() && !s.bias.empty(); ++i) {
    logits[i] += s.bias[i % s.bias.size()];
  }
  if (!s.logits.empty()) std::ranges::copy(logits, s.logits.begin());
  softmax_cross_entropy(batch, classes, smoothing, logits, s.labels, s.loss, s.correct);
  softmax_cross_entropy_gradient(batch, classes, smoothing, logits, s.labels, s.gradient);
  if (s.data_gradient.empty()) return;
  gemm(false, false, batch, in, classes, s.gradient, s.weight, s.data_gradient);
  if (activation.kind == Activation::none) return;
  for (std::size_t i = 0; i < s.data_gradient.size(); ++i) {
    s.data_gradient[i] *= activation_derivative(activation, s.x[i]);
  }
}

}  // namespace vktrain::nn::reference
