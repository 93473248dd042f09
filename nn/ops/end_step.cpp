#include "nn/ops/end_step.h"

#include <algorithm>

#include "nn/loop_turns.h"
#include "nn/lowering.h"
#include "nn/reference/end_step.h"
#include "nn/reference/reference_memory.h"

namespace vktrain::nn {
namespace {

// At most: a batch has few terms.
constexpr std::uint32_t kMostInvocations = 64;

struct Push {
  std::uint32_t batch, penalty_parts;
  std::uint32_t loss_replica, correct_replica, penalty_replica, state_replica, metrics_replica;
};

std::vector<ValueId> inputs_of(const CrossEntropy& loss, const StepInputs& step, ValueId penalty) {
  std::vector<ValueId> inputs = {loss.loss, loss.correct, step.state};
  if (penalty != kNoValue) inputs.push_back(penalty);
  return inputs;
}

}  // namespace

void end_step(Graph& graph, const CrossEntropy& loss, const StepInputs& step,
              ValueId penalty_parts) {
  graph.add(std::make_unique<EndStep>(loss, step, penalty_parts)).label = "step";
}

EndStep::EndStep(const CrossEntropy& loss, const StepInputs& step, ValueId penalty_parts)
    : Operation(inputs_of(loss, step, penalty_parts), {step.state, step.metrics}),
      loss_(loss),
      step_(step),
      penalty_parts_(penalty_parts) {}

void EndStep::lower(Lowering& l) const {
  const bool penalty = penalty_parts_ != kNoValue;
  PlannedDispatch dispatch;
  dispatch.label = "end step";
  dispatch.shader = "end_step";
  const std::int64_t parts = penalty ? l.layout(penalty_parts_).columns : 0;
  const std::uint32_t workgroup =
      reducing_workgroup(l.device(), std::max(l.batch(), parts), kMostInvocations);
  dispatch.constants = {workgroup};
  dispatch.bindings = {l.read(loss_.loss), l.read(loss_.correct),
                       l.read(penalty ? penalty_parts_ : loss_.loss), l.read_write(step_.state),
                       l.write(step_.metrics)};
  dispatch.turns = divide_up(l.batch(), workgroup) + 1 + divide_up(parts, workgroup) + 1 +
                   lane_sum_turns(workgroup);
  dispatch.push = push_bytes(Push{.batch = static_cast<std::uint32_t>(l.batch()),
                                  .penalty_parts = static_cast<std::uint32_t>(parts),
                                  .loss_replica = l.replica_stride(loss_.loss),
                                  .correct_replica = l.replica_stride(loss_.correct),
                                  .penalty_replica = penalty ? l.replica_stride(penalty_parts_) : 0,
                                  .state_replica = l.replica_stride(step_.state) / 4,
                                  .metrics_replica = l.replica_stride(step_.metrics) / 4});
  dispatch.flops = static_cast<double>(l.batch());
  dispatch.bytes = 8.0 * static_cast<double>(l.batch());
  l.dispatch(std::move(dispatch));
}

void EndStep::reference(ReferenceMemory& memory) const {
  reference::end_step(memory[loss_.loss], memory[loss_.correct], memory.optional(penalty_parts_),
                      memory[step_.state], memory[step_.metrics]);
}

}  // namespace vktrain::nn
