// Optimizers without a device: references against PyTorch 1.13 and against Keras's formulas,
// settings and their refusals, what the device is told.
#include "nn/optimizers/optimizer.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>

#include "nn/operation.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

constexpr std::array<double, 3> kWeights = {0.5, -1.25, 0.0};
constexpr std::array<std::array<double, 3>, 4> kGradients = {
    {{0.3, -0.7, 0.001}, {-0.2, 0.4, 0.0}, {0.9, 0.1, -0.05}, {0.05, -1.5, 2.0}}};

// Four steps of the gradients above on one parameter [3], by the operation's reference.
std::vector<double> train(const OptimizerConfig& config) {
  ParameterSet set;
  Graph graph(set);
  const ValueId weights = graph.add_parameter({.name = "w", .shape = {3}, .penalised = true});
  const StepInputs inputs = add_step_inputs(graph, kGradients.size());
  add_optimizer(graph, config, inputs);
  ReferenceMemory memory(graph, 1);
  Hyperparameters numbers;
  fill_hyperparameters(config, numbers);
  memory[inputs.hyperparameters] = {0,
                                    0,
                                    numbers.weight_decay,
                                    numbers.l1,
                                    numbers.l2,
                                    numbers.momentum,
                                    numbers.dampening,
                                    numbers.beta1,
                                    numbers.beta2,
                                    numbers.one_minus_beta1,
                                    numbers.one_minus_beta2,
                                    numbers.epsilon};
  memory[weights].assign(kWeights.begin(), kWeights.end());
  for (std::size_t step = 0; step < kGradients.size(); ++step) {
    const StepTableEntry entry = step_table_entry(config, step + 1, config.learning_rate);
    memory[inputs.table][4 * step] = entry.learning_rate;
    memory[inputs.table][4 * step + 1] = entry.bias_correction1;
    memory[inputs.table][4 * step + 2] = entry.sqrt_bias_correction2;
    memory[inputs.state] = {static_cast<double>(step), static_cast<double>(step), 0, 0};
    memory[graph.gradient_slot(weights)].assign(kGradients[step].begin(), kGradients[step].end());
    run_reference(graph, memory);
  }
  return memory[weights];
}

void expect_weights(const OptimizerConfig& config, const std::array<double, 3>& expected) {
  const std::vector<double> weights = train(config);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(weights[i], expected[i], 1e-7);
}

OptimizerConfig pytorch(OptimizerKind kind, double learning_rate) {
  OptimizerConfig config = default_optimizer(kind, OptimizerDefinition::pytorch);
  config.learning_rate = learning_rate;
  return config;
}

OptimizerConfig keras(OptimizerKind kind, double learning_rate) {
  OptimizerConfig config = default_optimizer(kind, OptimizerDefinition::keras);
  config.learning_rate = learning_rate;
  return config;
}

// The expected weights were computed by torch.optim (PyTorch 1.13.1, float64).
TEST(OptimizerReference, SgdIsPyTorchs) {
  OptimizerConfig config = pytorch(OptimizerKind::sgd, 0.1);
  config.weight_decay = 0.02;
  expect_weights(config, {0.391291704248, -1.07026928058, -0.195109401199});
  config.momentum = 0.9;
  config.dampening = 0.3;
  expect_weights(config, {0.304614005821, -0.975803786679, -0.133697536917});
  config = pytorch(OptimizerKind::sgd, 0.1);
  config.momentum = 0.9;
  config.nesterov = true;
  expect_weights(config, {0.192527, -0.843003, -0.36685951});
}

TEST(OptimizerReference, AdamIsPyTorchs) {
  OptimizerConfig config = pytorch(OptimizerKind::adam, 0.01);
  config.beta2 = 0.99;
  config.epsilon = 1e-3;
  config.weight_decay = 0.02;
  expect_weights(config, {0.476187932969, -1.23050671607, -0.00704162344377});
  config.kind = OptimizerKind::adamw;
  config.weight_decay = 0.2;
  expect_weights(config, {0.472896938019, -1.22173701193, -0.00733899759241});
}

TEST(OptimizerReference, RmsPropIsPyTorchs) {
  OptimizerConfig config = pytorch(OptimizerKind::rmsprop, 0.01);
  config.alpha = 0.95;
  config.epsilon = 1e-3;
  config.weight_decay = 0.02;
  expect_weights(config, {0.435182432708, -1.19084198696, -0.0103902260454});
  config.weight_decay = 0;
  config.momentum = 0.7;
  expect_weights(config, {0.369968819361, -1.15660783425, 0.00446356808608});
}

TEST(OptimizerReference, AdagradIsPyTorchs) {
  OptimizerConfig config = pytorch(OptimizerKind::adagrad, 0.1);
  config.epsilon = 1e-3;
  config.initial_accumulator = 0.05;
  config.weight_decay = 0.02;
  expect_weights(config, {0.367710781868, -1.1206599805, -0.078011915459});
}

// The expected weights were computed from Keras's documented formulas, apart from this program.
TEST(OptimizerReference, KerasFormulas) {
  OptimizerConfig config = keras(OptimizerKind::adam, 0.01);
  config.beta2 = 0.99;
  config.epsilon = 1e-3;
  expect_weights(config, {0.477228155636, -1.23182000127, -0.00191861143135});
  expect_weights(keras(OptimizerKind::adagrad, 0.1),
                 {0.379728896997, -1.13006801809, -0.0834417737685});
  expect_weights(keras(OptimizerKind::rmsprop, 0.01),
                 {0.455133154931, -1.2103284113, -0.0316092033103});
  config = keras(OptimizerKind::sgd, 0.1);
  config.momentum = 0.9;
  expect_weights(config, {0.27503, -0.98667, -0.1908439});
  config.nesterov = true;
  expect_weights(config, {0.192527, -0.843003, -0.36685951});
}

TEST(OptimizerReference, PenaltiesPullTowardsZeroAndLeaveZeroAlone) {
  OptimizerConfig config = pytorch(OptimizerKind::sgd, 0.1);
  const std::vector<double> plain = train(config);
  config.l1 = 0.5;
  const std::vector<double> with_l1 = train(config);
  // Signs of the first weight stay + for all steps, of the second -: 4 steps of 0.1 * 0.5.
  EXPECT_NEAR(with_l1[0], plain[0] - 0.2, 1e-6);
  EXPECT_NEAR(with_l1[1], plain[1] + 0.2, 1e-6);
  config.l1 = 0;
  config.l2 = 0.25;
  // One step of factor 1 - 0.1 * 2 * 0.25 before each gradient.
  double expected = kWeights[0];
  for (const auto& gradient : kGradients) expected = 0.95 * expected - 0.1 * gradient[0];
  EXPECT_NEAR(train(config)[0], expected, 1e-6);
}

TEST(OptimizerSettings, StepTableHoldsBiasCorrections) {
  const OptimizerConfig config = pytorch(OptimizerKind::adam, 0.003);
  const StepTableEntry first = step_table_entry(config, 1, 0.003);
  EXPECT_FLOAT_EQ(first.learning_rate, 0.003f);
  EXPECT_FLOAT_EQ(first.bias_correction1, 0.1f);
  EXPECT_FLOAT_EQ(first.sqrt_bias_correction2, static_cast<float>(std::sqrt(0.001)));
  const StepTableEntry late = step_table_entry(config, 1000000, 0.001);
  EXPECT_EQ(late.bias_correction1, 1.0f);
  EXPECT_EQ(late.sqrt_bias_correction2, 1.0f);
  const StepTableEntry sgd = step_table_entry(pytorch(OptimizerKind::sgd, 1), 1, 0.5);
  EXPECT_EQ(sgd.bias_correction1, 1.0f);
  EXPECT_THROW(step_table_entry(config, 0, 0.1), std::invalid_argument);
}

TEST(OptimizerSettings, HyperparametersKeepSeedAndDropout) {
  Hyperparameters numbers;
  numbers.seed[0] = 7;
  numbers.dropout[3] = 0.5f;
  OptimizerConfig config = pytorch(OptimizerKind::rmsprop, 0.1);
  fill_hyperparameters(config, numbers);
  EXPECT_EQ(numbers.seed[0], 7u);
  EXPECT_EQ(numbers.dropout[3], 0.5f);
  EXPECT_EQ(numbers.beta1, 0.99f);
  // Rounded from the difference in double: 1 - 0.99f would be 0.00999999.
  EXPECT_EQ(numbers.one_minus_beta1, 0.01f);
}

TEST(OptimizerSettings, SlotsAndFill) {
  EXPECT_EQ(optimizer_slots(pytorch(OptimizerKind::sgd, 0.1)), 0u);
  EXPECT_EQ(optimizer_slots(pytorch(OptimizerKind::adamw, 0.1)), 2u);
  OptimizerConfig config = pytorch(OptimizerKind::rmsprop, 0.1);
  EXPECT_EQ(optimizer_slots(config), 1u);
  config.momentum = 0.5;
  EXPECT_EQ(optimizer_fill(config), (std::vector<float>{0, 0}));
  EXPECT_EQ(optimizer_fill(keras(OptimizerKind::adagrad, 0.1)), (std::vector<float>{0.1f}));
}

void expect_refused(const OptimizerConfig& config, const std::string& setting) {
  try {
    check_optimizer(config);
    ADD_FAILURE() << setting << " was accepted";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find(setting), std::string::npos) << error.what();
  }
}

TEST(OptimizerSettings, RefusesWhatIsOutOfRange) {
  OptimizerConfig config = pytorch(OptimizerKind::adam, -1);
  expect_refused(config, "learning rate is -1");
  config = pytorch(OptimizerKind::adam, std::nan(""));
  expect_refused(config, "learning rate");
  config = pytorch(OptimizerKind::adam, 0.1);
  config.beta2 = 1;
  expect_refused(config, "beta2 is 1");
  config = pytorch(OptimizerKind::adagrad, 0.1);
  config.epsilon = 0;
  expect_refused(config, "epsilon is 0");
  config = pytorch(OptimizerKind::rmsprop, 0.1);
  config.alpha = -0.1;
  expect_refused(config, "alpha");
  config = pytorch(OptimizerKind::sgd, 0.1);
  config.l2 = -1;
  expect_refused(config, "L2 penalty");
  config.l2 = 0;
  config.epsilon = 0;  // sgd does not read it
  EXPECT_NO_THROW(check_optimizer(config));
  config.nesterov = true;
  expect_refused(config, "Nesterov");
}

TEST(OptimizerSettings, CombinesReplicas) {
  std::array<OptimizerConfig, 2> configs = {pytorch(OptimizerKind::sgd, 0.1),
                                            pytorch(OptimizerKind::sgd, 0.2)};
  configs[1].momentum = 0.9;
  configs[0].l1 = 0.1;
  const OptimizerConfig combined = combine_optimizers(configs);
  EXPECT_EQ(optimizer_slots(combined), 1u);
  EXPECT_GT(combined.l1, 0);
  configs[1].kind = OptimizerKind::rmsprop;
  EXPECT_THROW(combine_optimizers(configs), UsageError);
}

TEST(OptimizerGraph, PenaltyPartialsExistOnlyWherePenaltiesApply) {
  OptimizerConfig config = pytorch(OptimizerKind::sgd, 0.1);
  config.l2 = 1e-4;
  ParameterSet without;
  Graph plain(without);
  plain.add_parameter({.name = "bias", .shape = {5}});
  EXPECT_EQ(add_optimizer(plain, config, add_step_inputs(plain, 1)), kNoValue);

  ParameterSet with;
  Graph graph(with);
  graph.add_parameter({.name = "weight", .shape = {100, 30}, .penalised = true});
  const ValueId partials = add_optimizer(graph, config, add_step_inputs(graph, 1));
  // 100 rows of 32 are 3200 weights, 1024 a workgroup.
  ASSERT_NE(partials, kNoValue);
  EXPECT_EQ(graph.value(partials).shape, (Shape{4}));
}

TEST(OptimizerGraph, RefusesAModelWithoutParameters) {
  ParameterSet set;
  Graph graph(set);
  graph.add_parameter({.name = "running_mean", .shape = {5}, .trainable = false});
  EXPECT_THROW(add_optimizer(graph, {}, add_step_inputs(graph, 1)), Error);
}

}  // namespace
}  // namespace vktrain::nn
