#include "nn/ops/end_step.h"

#include "nn/lowering.h"
#include "nn/reference/end_step.h"
#include "nn/reference/reference_memory.h"

namespace vktrain::nn {
namespace {

constexpr std::uint32_t kWorkgroup = 64;  // as large as the shader's shared arrays
constexpr std::int64_t kTreeTurns = 7;    // of the loop that sums them

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
  dispatch.constants = {kWorkgroup};
  dispatch.bindings = {l.read(loss_.loss), l.read(loss_.correct),
                       l.read(penalty ? penalty_parts_ : loss_.loss), l.read_write(step_.state),
                       l.write(step_.metrics)};
  const std::int64_t parts = penalty ? l.layout(penalty_parts_).columns : 0;
  dispatch.turns = divide_up(l.batch(), kWorkgroup) + divide_up(parts, kWorkgroup) + 2 + kTreeTurns;
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
