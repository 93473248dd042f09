// Double-precision twins of nn/ops/softmax_cross_entropy. logits [batch, classes], labels [batch];
// target = (1 - smoothing) * onehot(label) + smoothing / classes.
#pragma once

#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

// loss[i] = log sum_j exp(logits[i, j]) - sum_j target[i, j] logits[i, j]; correct[i] = 1 where the
// first largest logit is the label's.
void softmax_cross_entropy(std::int64_t batch, std::int64_t classes, double smoothing,
                           std::span<const double> logits, std::span<const double> labels,
                           std::span<double> loss, std::span<double> correct);

// Gradient of the mean loss: (softmax(logits) - target) / batch.
void softmax_cross_entropy_gradient(std::int64_t batch, std::int64_t classes, double smoothing,
                                    std::span<const double> logits, std::span<const double> labels,
                                    std::span<double> gradient);

// softmax of one row, shifted by its largest element. The two spans may be the same.
void softmax(std::span<const double> logits, std::span<double> probabilities);

}  // namespace vktrain::nn::reference
