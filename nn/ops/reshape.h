// The same rows under another shape: no memory of its own, no dispatch.
#pragma once

#include <string_view>

#include "nn/operation.h"

namespace vktrain::nn {

// y of `shape`, whose first dimension is x's and whose rows have as many elements as x's. Throws
// Error when they have not.
ValueId reshape(Graph& graph, ValueId x, const Shape& shape, std::string_view label);

// [batch, everything else], channels first as PyTorch's Flatten; x itself if it has this shape.
ValueId flatten(Graph& graph, ValueId x, std::string_view label);

class Reshape : public Operation {
 public:
  Reshape(ValueId x, ValueId y) : Operation({x}, {y}) {}

  std::string_view kind() const override { return "reshape"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering&) const override {}
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId y() const { return outputs_[0]; }
};

}  // namespace vktrain::nn
