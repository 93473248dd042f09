#include "nn/ops/step_state.h"

namespace vktrain::nn {

static_assert(sizeof(StepState) == 16 && sizeof(StepTableEntry) == 16 &&
              sizeof(StepMetrics) == 16 && sizeof(Hyperparameters) == 128);

StepInputs add_step_inputs(Graph& graph, std::int64_t steps) {
  return {.state = graph.add_external("step_state", {4}, DType::u32, false),
          .table = graph.add_external("step_table", {steps, 4}, DType::f32, false),
          .hyperparameters = graph.add_external("hyperparameters", {32}, DType::u32, false),
          .metrics = graph.add_external("metrics", {steps, 4}, DType::u32, false)};
}

}  // namespace vktrain::nn
