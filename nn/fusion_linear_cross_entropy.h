// The last linear layer of a classifier into its loss (nn/ops/linear_cross_entropy.h). Part of
// nn/fusion.h.
#pragma once

#include <cstddef>

#include "nn/graph.h"

namespace vktrain::nn {

// Merges the softmax cross-entropy with gradient at `index` with the product that makes its logits,
// where nobody else reads those and they are few, and with the product that makes the data
// gradient, where its operands are the loss's.
bool fuse_linear_cross_entropy(Graph& graph, std::size_t index);

}  // namespace vktrain::nn
