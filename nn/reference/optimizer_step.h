// What a step hands to the references of optimizers; see nn/ops/step_state.h for the members.
#pragma once

namespace vktrain::nn {

struct OptimizerStep {
  bool first = false;  // of the training
  double learning_rate = 0;
  double bias_correction1 = 1;
  double sqrt_bias_correction2 = 1;
  double weight_decay = 0;
  double momentum = 0;
  double dampening = 0;
  double beta1 = 0;  // alpha of RMSprop
  double beta2 = 0;
  double one_minus_beta1 = 0;
  double one_minus_beta2 = 0;
  double epsilon = 0;
};

}  // namespace vktrain::nn
