// Softmax cross-entropy with integer labels: loss per row, hits per row, gradient of the mean.
// Label smoothing as PyTorch's CrossEntropyLoss defines it: the target is
// (1 - smoothing) * onehot + smoothing / classes.
#pragma once

#include <string_view>

#include "nn/operation.h"

namespace vktrain::nn {

struct CrossEntropy {
  ValueId loss = kNoValue;     // [batch]: - sum of target * log softmax(logits)
  ValueId correct = kNoValue;  // [batch] u32: 1 where the first largest logit is the label's
};

// logits [batch, classes], labels [batch] u32 below classes. Throws Error for other shapes and for
// a smoothing outside [0, 1]. Evaluation leaves the smoothing out, as a plain criterion does: a
// training loss with smoothing and a validation loss without cannot be compared.
CrossEntropy softmax_cross_entropy(Graph& graph, ValueId logits, ValueId labels,
                                   double label_smoothing = 0);

// Without `gradient`: the forward operation. Without `result`: the backward operation alone. With
// both: the fused one.
class SoftmaxCrossEntropy : public Operation {
 public:
  SoftmaxCrossEntropy(ValueId logits, ValueId labels, const CrossEntropy& result, ValueId gradient,
                      double label_smoothing = 0);
  std::string_view kind() const override { return "softmax_cross_entropy"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId logits() const { return inputs_[0]; }
  ValueId labels() const { return inputs_[1]; }
  const CrossEntropy& result() const { return result_; }
  ValueId gradient() const { return gradient_; }
  double label_smoothing() const { return label_smoothing_; }

 private:
  CrossEntropy result_;
  ValueId gradient_;
  double label_smoothing_;
};

}  // namespace vktrain::nn
