// Double-precision twin of nn/ops/confusion_matrix.
#pragma once

#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

// Adds 1 to counts[label][first largest logit] for every row; logits [batch, classes], counts
// [classes, classes].
void confusion_matrix(std::int64_t batch, std::int64_t classes, std::span<const double> logits,
                      std::span<const double> labels, std::span<double> counts);

}  // namespace vktrain::nn::reference
