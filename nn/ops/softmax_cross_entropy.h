// Softmax cross-entropy with integer labels: loss per row, hits per row, gradient of the mean.
#pragma once

#include <string_view>

#include "nn/operation.h"

namespace vktrain::nn {

struct CrossEntropy {
  ValueId loss = kNoValue;     // [batch]: -log softmax(logits)[label]
  ValueId correct = kNoValue;  // [batch] u32: 1 where the first largest logit is the label's
};

// logits [batch, classes], labels [batch] u32 below classes.
CrossEntropy softmax_cross_entropy(Graph& graph, ValueId logits, ValueId labels);

// Without `gradient`: the forward operation. Without `result`: the backward operation alone. With
// both: the fused one.
class SoftmaxCrossEntropy : public Operation {
 public:
  SoftmaxCrossEntropy(ValueId logits, ValueId labels, const CrossEntropy& result, ValueId gradient);
  std::string_view kind() const override { return "softmax_cross_entropy"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId logits() const { return inputs_[0]; }
  ValueId labels() const { return inputs_[1]; }
  const CrossEntropy& result() const { return result_; }
  ValueId gradient() const { return gradient_; }

 private:
  CrossEntropy result_;
  ValueId gradient_;
};

}  // namespace vktrain::nn
