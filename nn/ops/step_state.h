// What changes from step to step, and what differs between replicas, as the kernels see it.
// The same layouts stand in shaders/step_state.glsl.
#pragma once

#include <array>
#include <cstdint>

#include "nn/graph.h"

namespace vktrain::nn {

// On the device, a copy per replica (all equal); end_step advances it.
struct StepState {
  std::uint32_t step = 0;           // since the start of the training: seeds dropout
  std::uint32_t step_in_epoch = 0;  // chooses batch, step table entry and metrics slot
  std::uint32_t reserved[2] = {0, 0};
};

// One entry per step of an epoch and replica, written by the host once an epoch (in double, then
// rounded), so that schedules and bias corrections cost the device nothing.
struct StepTableEntry {
  float learning_rate = 0;
  float bias_correction1 = 1;       // 1 - beta1^t
  float sqrt_bias_correction2 = 1;  // sqrt(1 - beta2^t)
  float reserved = 0;
};

// Per replica.
struct Hyperparameters {
  std::uint32_t seed[2] = {0, 0};
  float weight_decay = 0;
  float l1 = 0;
  float l2 = 0;
  float momentum = 0;
  float dampening = 0;
  float beta1 = 0;  // Adam; alpha of RMSprop
  float beta2 = 0;
  float one_minus_beta1 = 0;  // rounded from the difference in double
  float one_minus_beta2 = 0;
  float epsilon = 0;
  float reserved[4] = {0, 0, 0, 0};
  float dropout[16] = {};  // probability per dropout layer
};
inline constexpr std::uint32_t kMaxDropoutLayers = 16;

// One entry per step of an epoch and replica, written by end_step.
struct StepMetrics {
  float loss = 0;             // mean over the batch, without penalties
  std::uint32_t correct = 0;  // predictions that hit
  float penalty = 0;          // L1 and L2 penalty of the weights before the update
  std::uint32_t reserved = 0;
};

// The external values of a graph that runs steps.
struct StepInputs {
  ValueId state = kNoValue;            // [4] u32
  ValueId table = kNoValue;            // [steps, 4]
  ValueId hyperparameters = kNoValue;  // [32]
  ValueId metrics = kNoValue;          // [steps, 4]
};

// `steps`: entries of the step table and metrics per epoch.
StepInputs add_step_inputs(Graph& graph, std::int64_t steps);

}  // namespace vktrain::nn
