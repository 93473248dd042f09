// Settings of optimizers and the numbers derived from them; see optimizer.h.
#include "nn/optimizers/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>

#include "nn/optimizers/adagrad.h"
#include "nn/optimizers/adam.h"
#include "nn/optimizers/rmsprop.h"
#include "nn/optimizers/sgd.h"
#include "runtime/error.h"

namespace vktrain::nn {

namespace {

bool is_adam(const OptimizerConfig& config) {
  return config.kind == OptimizerKind::adam || config.kind == OptimizerKind::adamw;
}

bool has_momentum(const OptimizerConfig& config) {
  return config.kind == OptimizerKind::sgd || config.kind == OptimizerKind::rmsprop;
}

void require(bool fits, const char* setting, double found, const char* expected) {
  if (fits) return;
  throw UsageError(
      fmt::format("the optimizer's {} is {}, but it must be {}", setting, found, expected));
}

void require_not_negative(double value, const char* setting) {
  require(std::isfinite(value) && value >= 0, setting, value, "a finite number of at least 0");
}

void require_fraction(double value, const char* setting) {
  require(value >= 0 && value < 1, setting, value, "at least 0 and less than 1");
}

std::vector<ValueId> gradients_of(Graph& graph, const std::vector<ValueId>& parameters) {
  std::vector<ValueId> gradients;
  for (const ValueId parameter : parameters) gradients.push_back(graph.gradient_slot(parameter));
  return gradients;
}

std::vector<ValueId> trainable_values(Graph& graph) {
  std::vector<ValueId> values;
  for (std::size_t i = 0; i < graph.parameters().size(); ++i) {
    const Parameter parameter = graph.parameters()[i];
    if (parameter.trainable) values.push_back(graph.add_parameter(parameter));
  }
  return values;
}

}  // namespace

std::unique_ptr<OptimizerOperation> make_optimizer(const OptimizerConfig& config,
                                                   OptimizerValues values) {
  switch (config.kind) {
    case OptimizerKind::sgd:
      return std::make_unique<Sgd>(config, std::move(values));
    case OptimizerKind::adam:
    case OptimizerKind::adamw:
      return std::make_unique<Adam>(config, std::move(values));
    case OptimizerKind::rmsprop:
      return std::make_unique<RmsProp>(config, std::move(values));
    case OptimizerKind::adagrad:
      return std::make_unique<Adagrad>(config, std::move(values));
  }
  throw std::invalid_argument("optimizer: unknown kind");
}

OptimizerConfig default_optimizer(OptimizerKind kind, OptimizerDefinition definition) {
  const bool keras = definition == OptimizerDefinition::keras;
  OptimizerConfig config;
  config.kind = kind;
  config.definition = definition;
  config.epsilon = keras ? 1e-7 : 1e-8;
  switch (kind) {
    case OptimizerKind::sgd:
      break;
    case OptimizerKind::adam:
      config.learning_rate = 0.001;
      break;
    case OptimizerKind::adamw:
      config.learning_rate = 0.001;
      config.weight_decay = keras ? 0.004 : 0.01;
      break;
    case OptimizerKind::rmsprop:
      config.learning_rate = keras ? 0.001 : 0.01;
      config.alpha = keras ? 0.9 : 0.99;
      break;
    case OptimizerKind::adagrad:
      config.learning_rate = keras ? 0.001 : 0.01;
      config.initial_accumulator = keras ? 0.1 : 0.0;
      if (!keras) config.epsilon = 1e-10;
      break;
  }
  return config;
}

void check_optimizer(const OptimizerConfig& config) {
  require_not_negative(config.learning_rate, "learning rate");
  require_not_negative(config.weight_decay, "weight decay");
  require_not_negative(config.l1, "L1 penalty");
  require_not_negative(config.l2, "L2 penalty");
  if (has_momentum(config)) require_not_negative(config.momentum, "momentum");
  if (config.kind == OptimizerKind::sgd) {
    require(std::isfinite(config.dampening), "dampening", config.dampening, "finite");
    if (config.nesterov && (config.momentum <= 0 || config.dampening != 0)) {
      throw UsageError(fmt::format(
          "Nesterov momentum needs a momentum greater than 0 and no dampening, but momentum is {} "
          "and dampening {}",
          config.momentum, config.dampening));
    }
    return;
  }
  // Weights and gradients of padding are 0: without epsilon they would become 0 / 0.
  require(std::isfinite(config.epsilon) && config.epsilon >= 1e-30, "epsilon", config.epsilon,
          "at least 1e-30");
  if (is_adam(config)) {
    require_fraction(config.beta1, "beta1");
    require_fraction(config.beta2, "beta2");
  }
  if (config.kind == OptimizerKind::rmsprop) require_fraction(config.alpha, "alpha");
  if (config.kind == OptimizerKind::adagrad) {
    require_not_negative(config.initial_accumulator, "initial accumulator");
  }
}

OptimizerConfig combine_optimizers(std::span<const OptimizerConfig> replicas) {
  if (replicas.empty()) throw std::invalid_argument("optimizer: no replica to combine");
  OptimizerConfig combined = replicas.front();
  for (const OptimizerConfig& other : replicas) {
    if (other.kind != combined.kind || other.definition != combined.definition ||
        other.nesterov != combined.nesterov) {
      throw UsageError(
          "models that train together need the same kind of optimizer, the same definition and "
          "the same choice of Nesterov momentum; train them one after the other");
    }
    combined.momentum = std::max(combined.momentum, other.momentum);
    combined.weight_decay = std::max(combined.weight_decay, other.weight_decay);
    combined.l1 = std::max(combined.l1, other.l1);
    combined.l2 = std::max(combined.l2, other.l2);
  }
  return combined;
}

std::uint32_t optimizer_slots(const OptimizerConfig& config) {
  switch (config.kind) {
    case OptimizerKind::sgd:
      return config.momentum > 0 ? 1 : 0;
    case OptimizerKind::adam:
    case OptimizerKind::adamw:
      return 2;
    case OptimizerKind::rmsprop:
      return config.momentum > 0 ? 2 : 1;
    case OptimizerKind::adagrad:
      return 1;
  }
  throw std::invalid_argument("optimizer: unknown kind");
}

std::vector<float> optimizer_fill(const OptimizerConfig& config) {
  const double value = config.kind == OptimizerKind::adagrad ? config.initial_accumulator : 0.0;
  return std::vector<float>(optimizer_slots(config), static_cast<float>(value));
}

void fill_hyperparameters(const OptimizerConfig& config, Hyperparameters& hyperparameters) {
  check_optimizer(config);
  const bool rmsprop = config.kind == OptimizerKind::rmsprop;
  const double beta1 = rmsprop ? config.alpha : config.beta1;
  hyperparameters.weight_decay = static_cast<float>(config.weight_decay);
  hyperparameters.l1 = static_cast<float>(config.l1);
  hyperparameters.l2 = static_cast<float>(config.l2);
  hyperparameters.momentum = static_cast<float>(config.momentum);
  // Without momentum PyTorch reads no dampening; beside replicas with momentum that takes a 0.
  hyperparameters.dampening = static_cast<float>(config.momentum > 0 ? config.dampening : 0.0);
  hyperparameters.beta1 = static_cast<float>(beta1);
  hyperparameters.beta2 = static_cast<float>(config.beta2);
  hyperparameters.one_minus_beta1 = static_cast<float>(1 - beta1);
  hyperparameters.one_minus_beta2 = static_cast<float>(1 - config.beta2);
  hyperparameters.epsilon = static_cast<float>(config.epsilon);
}

StepTableEntry step_table_entry(const OptimizerConfig& config, std::uint64_t t,
                                double learning_rate) {
  if (t == 0) throw std::invalid_argument("optimizer: steps are counted from 1");
  StepTableEntry entry{.learning_rate = static_cast<float>(learning_rate)};
  if (is_adam(config)) {
    const auto steps = static_cast<double>(t);
    entry.bias_correction1 = static_cast<float>(1 - std::pow(config.beta1, steps));
    entry.sqrt_bias_correction2 = static_cast<float>(std::sqrt(1 - std::pow(config.beta2, steps)));
  }
  return entry;
}

ValueId add_optimizer(Graph& graph, const OptimizerConfig& config, const StepInputs& inputs) {
  check_optimizer(config);
  OptimizerValues values;
  values.step = inputs;
  values.parameters = trainable_values(graph);
  if (values.parameters.empty()) {
    throw Error("the model has no trainable parameters, so there is nothing to optimize");
  }
  values.gradients = gradients_of(graph, values.parameters);
  const std::int64_t groups = penalty_groups(ParameterLayout(graph.parameters()));
  if ((config.l1 > 0 || config.l2 > 0) && groups > 0) {
    values.penalty_partials = graph.add_activation("penalty_partials", {groups});
  }
  const ValueId partials = values.penalty_partials;
  graph.add(make_optimizer(config, std::move(values)));
  return partials;
}

}  // namespace vktrain::nn
