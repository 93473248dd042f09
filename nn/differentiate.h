// Reverse-mode automatic differentiation: walks the operations backwards and lets each add its
// backward operations.
#pragma once

#include <optional>
#include <vector>

#include "nn/graph.h"

namespace vktrain::nn {

class Differentiator {
 public:
  Graph& graph() { return *graph_; }

  // Gradient of an output of the operation at hand; kNoValue when nothing depends on it.
  ValueId gradient_of(ValueId output) const;
  // Whether a gradient for this input is asked for (it leads to a trainable parameter).
  bool needs_gradient(ValueId input) const;
  // A new value to write a gradient contribution of `input` to (for a parameter used once: its
  // gradient slot). The operation that writes it must be added before the next call.
  ValueId new_gradient(ValueId input);
  // Passes an existing gradient value of the same shape on unchanged (bias_add, add). The value
  // must not be written again.
  void pass_gradient(ValueId input, ValueId gradient);

 private:
  friend void differentiate(Graph& graph, ValueId loss);
  explicit Differentiator(Graph& graph);
  void sum_contributions(ValueId id, ValueId target);
  void fill_gradient_slot(ValueId parameter);

  Graph* graph_;
  std::vector<bool> needs_;
  std::vector<std::uint32_t> uses_;                  // of each value by differentiable operations
  std::vector<std::vector<ValueId>> contributions_;  // per value, not yet summed
};

// Adds the operations that compute d(mean of `loss`)/d(parameter) into every trainable parameter's
// gradient slot. `loss` [batch] must be the output of a loss operation, whose own derivative starts
// the chain (it needs no incoming gradient).
void differentiate(Graph& graph, ValueId loss);

}  // namespace vktrain::nn
