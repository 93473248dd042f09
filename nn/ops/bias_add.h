// y[n, c] = x[n, c] + bias[c], for images at every position of channel c. The gradient of the bias
// is a ColumnSum, for images a ChannelSum (nn/ops/channel_sum.h).
#pragma once

#include <string_view>

#include "nn/operation.h"

namespace vktrain::nn {

// x [batch, C] or [batch, C, H, W], bias [C]. Throws Error when the shapes do not fit.
ValueId bias_add(Graph& graph, ValueId x, ValueId bias, std::string_view label);

class BiasAdd : public Operation {
 public:
  BiasAdd(ValueId x, ValueId bias, ValueId y) : Operation({x, bias}, {y}) {}

  std::string_view kind() const override { return "bias_add"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId bias() const { return inputs_[1]; }
  ValueId y() const { return outputs_[0]; }
};

// sum[c] = sum over n of x[n, c]. One dispatch for small batches; large ones go through partial
// sums of blocks of rows. The order of the additions depends on the shape alone.
class ColumnSum : public Operation {
 public:
  ColumnSum(ValueId x, ValueId sum) : Operation({x}, {sum}) {}

  std::string_view kind() const override { return "column_sum"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId sum() const { return outputs_[0]; }
};

}  // namespace vktrain::nn
