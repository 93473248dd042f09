// Counts what a classifier takes for what: counts[true class][predicted class] goes up by one for
// every row of a batch, where the prediction is the first largest logit. Integer additions commute,
// so that the atomic ones of the kernel give the same counts in any order.
#pragma once

#include "nn/operation.h"

namespace vktrain::nn {

// logits [batch, classes], labels [batch] u32 below classes. Returns the external value "confusion"
// [classes, classes] u32, which its owner clears; every run of the graph adds to it.
ValueId confusion_matrix(Graph& graph, ValueId logits, ValueId labels);

class CountConfusion : public Operation {
 public:
  CountConfusion(ValueId logits, ValueId labels, ValueId counts)
      : Operation({logits, labels, counts}, {counts}) {}
  std::string_view kind() const override { return "confusion_matrix"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId logits() const { return inputs_[0]; }
  ValueId labels() const { return inputs_[1]; }
  ValueId counts() const { return outputs_[0]; }
};

}  // namespace vktrain::nn
