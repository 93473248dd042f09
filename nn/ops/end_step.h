// The last operation of a step: metrics into the step's slot, then the step state advances.
#pragma once

#include "nn/operation.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/ops/step_state.h"

namespace vktrain::nn {

// `penalty_parts` [n]: parts of the penalty that the optimizer wrote, or kNoValue.
void end_step(Graph& graph, const CrossEntropy& loss, const StepInputs& step,
              ValueId penalty_parts = kNoValue);

class EndStep : public Operation {
 public:
  EndStep(const CrossEntropy& loss, const StepInputs& step, ValueId penalty_parts);
  std::string_view kind() const override { return "end_step"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

 private:
  CrossEntropy loss_;
  StepInputs step_;
  ValueId penalty_parts_;
};

}  // namespace vktrain::nn
