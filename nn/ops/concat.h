// Puts values one behind the other along the channels (or features): dimension 1.
#pragma once

#include <span>
#include <string_view>

#include "nn/operation.h"

namespace vktrain::nn {

// inputs [batch, C_i, ...] with equal other dimensions -> [batch, sum of C_i, ...]. A value may
// stand in several places. Throws Error when they differ elsewhere or there are fewer than two.
ValueId concat(Graph& graph, std::span<const ValueId> inputs, std::string_view label);

class Concat : public Operation {
 public:
  Concat(std::vector<ValueId> inputs, ValueId y) : Operation(std::move(inputs), {y}) {}

  std::string_view kind() const override { return "concat"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId y() const { return outputs_[0]; }
};

// The derivative of Concat for one input: y = the columns of x from `begin` on, in a row's
// elements.
class Slice : public Operation {
 public:
  Slice(ValueId x, ValueId y, std::int64_t begin) : Operation({x}, {y}), begin_(begin) {}

  std::string_view kind() const override { return "slice"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId y() const { return outputs_[0]; }

 private:
  std::int64_t begin_;
};

}  // namespace vktrain::nn
