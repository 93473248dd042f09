// Optimizers: what a training run may ask for, the numbers that the device needs for it, and the
// operation that updates every parameter.
//
// Notation: w weight, g gradient, t step (1-based), lr learning rate. The exact formulas, as
// PyTorch's torch.optim and Keras 2's optimizers define them, stand in nn/optimizers/{sgd, adam,
// rmsprop, adagrad}.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nn/graph.h"
#include "nn/ops/step_state.h"

namespace vktrain::nn {

enum class OptimizerKind { sgd, adam, adamw, rmsprop, adagrad };

// Whose definition holds where the two differ: Adam's epsilon, SGD's and RMSprop's momentum. The
// default values of the other settings differ too (see `default_optimizer`).
enum class OptimizerDefinition { pytorch, keras };

// Every setting is read only by the kinds named beside it.
struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::sgd;
  OptimizerDefinition definition = OptimizerDefinition::pytorch;
  double learning_rate = 0.01;
  double momentum = 0;             // sgd, rmsprop; 0: off
  double dampening = 0;            // sgd, PyTorch's definition
  bool nesterov = false;           // sgd
  double weight_decay = 0;         // all: w * weight_decay added to g; adamw: decoupled
  double beta1 = 0.9;              // adam, adamw
  double beta2 = 0.999;            // adam, adamw
  double epsilon = 1e-8;           // adam, adamw, rmsprop, adagrad; added outside the square root
  double alpha = 0.99;             // rmsprop (Keras: rho)
  double initial_accumulator = 0;  // adagrad
  // Penalties of the loss: l1 * sum |w| + l2 * sum w^2 over the penalised parameters. Their
  // gradient, l1 * sign(w) + 2 * l2 * w with sign(0) = 0, is added to g here.
  double l1 = 0;
  double l2 = 0;

  bool operator==(const OptimizerConfig&) const = default;
};

// The settings that torch.optim and tf.keras.optimizers use when only the kind is given.
OptimizerConfig default_optimizer(OptimizerKind kind, OptimizerDefinition definition);

// Throws UsageError, naming the setting and its range, when a setting that the kind reads is out
// of range.
void check_optimizer(const OptimizerConfig& config);

// The config to build a graph with that trains replicas of these configs: a code path (momentum,
// penalties, weight decay) is on when one of them needs it. Throws UsageError when they differ in
// what a plan has only once: kind, definition, nesterov.
OptimizerConfig combine_optimizers(std::span<const OptimizerConfig> replicas);

// State values per weight, and their initial values; see ParameterStorage. For several replicas
// ask for the combined config's.
std::uint32_t optimizer_slots(const OptimizerConfig& config);
std::vector<float> optimizer_fill(const OptimizerConfig& config);

// Sets the members that optimizers read; leaves seed and dropout as they are.
void fill_hyperparameters(const OptimizerConfig& config, Hyperparameters& hyperparameters);

// What step `t` (1-based, since the start of the training) needs at this learning rate; computed
// in double and rounded once.
StepTableEntry step_table_entry(const OptimizerConfig& config, std::uint64_t t,
                                double learning_rate);

// Adds the update of all trainable parameters from their gradient slots to the end of a
// differentiated graph. The graph's ParameterSet must be complete. With penalties, returns an
// activation [groups] whose sum is the penalty of the weights before the update; without,
// kNoValue.
ValueId add_optimizer(Graph& graph, const OptimizerConfig& config, const StepInputs& inputs);

}  // namespace vktrain::nn
