// SGD on the device against its reference, alone and in replicas.
#include <array>

#include "nn/lowering.h"
#include "tests/nn/optimizers/optimizer_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::nn {
namespace {

class SgdTest : public vktrain::testing::DeviceTest {};

OptimizerConfig sgd(OptimizerDefinition definition) {
  OptimizerConfig config = default_optimizer(OptimizerKind::sgd, definition);
  config.learning_rate = 0.1;
  return config;
}

TEST_F(SgdTest, Plain) { compare_with_reference(device(), sgd(OptimizerDefinition::pytorch), 11); }

TEST_F(SgdTest, WeightDecay) {
  OptimizerConfig config = sgd(OptimizerDefinition::pytorch);
  config.weight_decay = 0.05;
  compare_with_reference(device(), config, 12);
}

TEST_F(SgdTest, MomentumWithDampening) {
  OptimizerConfig config = sgd(OptimizerDefinition::pytorch);
  config.momentum = 0.9;
  config.dampening = 0.4;
  config.weight_decay = 0.01;
  compare_with_reference(device(), config, 13);
}

TEST_F(SgdTest, Nesterov) {
  OptimizerConfig config = sgd(OptimizerDefinition::pytorch);
  config.momentum = 0.8;
  config.nesterov = true;
  compare_with_reference(device(), config, 14);
}

TEST_F(SgdTest, KerasMomentum) {
  OptimizerConfig config = sgd(OptimizerDefinition::keras);
  config.momentum = 0.9;
  config.l2 = 0.02;
  compare_with_reference(device(), config, 15);
}

TEST_F(SgdTest, KerasNesterov) {
  OptimizerConfig config = sgd(OptimizerDefinition::keras);
  config.momentum = 0.7;
  config.nesterov = true;
  compare_with_reference(device(), config, 16);
}

TEST_F(SgdTest, Penalties) {
  OptimizerConfig config = sgd(OptimizerDefinition::pytorch);
  config.l1 = 0.03;
  config.l2 = 0.02;
  compare_with_reference(device(), config, 17);
}

TEST_F(SgdTest, WorkgroupsWithoutPenalisedWeightsWriteNoPartial) {
  OptimizerConfig config = sgd(OptimizerDefinition::pytorch);
  config.l2 = 0.5;
  ParameterSet set;
  set.declare({.name = "weight", .shape = {3, 100}, .penalised = true});
  set.declare({.name = "bias", .shape = {5000}});
  OptimizerRig rig(device(), set, config, std::span(&config, 1));
  rig.set_weights(0, {std::vector<float>(300, 1.0f), std::vector<float>(5000, 1.0f)});
  const float mark = 7;
  device().fill(rig.penalty_memory(), float_bits(mark));
  const Tensors gradients = {std::vector<float>(300), std::vector<float>(5000)};
  rig.step(0, std::span(&gradients, 1));
  std::vector<float> partials(rig.penalty_memory().size / 4);
  device().download(rig.penalty_memory(), std::as_writable_bytes(std::span(partials)));
  EXPECT_EQ(partials.front(), 150.0f);
  partials.erase(partials.begin());
  EXPECT_EQ(partials, std::vector<float>(partials.size(), mark));
}

TEST_F(SgdTest, ReplicasGiveTheBitsOfSingleRuns) {
  std::array<OptimizerConfig, 3> configs;
  configs.fill(sgd(OptimizerDefinition::pytorch));
  configs[0].momentum = 0.9;
  configs[0].dampening = 0.1;
  configs[1].learning_rate = 0.01;
  configs[1].l1 = 0.01;
  configs[2].weight_decay = 0.1;
  configs[2].l2 = 0.05;
  compare_replicas(device(), configs, 18);
}

TEST_F(SgdTest, WithoutMomentumBesideReplicasThatHaveIt) {
  // Dampening means nothing without momentum, whatever the neighbours do.
  std::array<OptimizerConfig, 2> configs;
  configs.fill(sgd(OptimizerDefinition::pytorch));
  configs[0].momentum = 0.9;
  configs[1].dampening = 0.5;
  PhiloxRng rng(19, 0);
  const ParameterSet set = random_parameters(rng);
  OptimizerRig together(device(), set, combine_optimizers(configs), configs);
  ReferenceRig reference(set, configs[1]);
  const Tensors weights = random_tensors(set, rng, 1.0);
  together.set_weights(1, weights);
  reference.set_weights(weights);
  for (std::uint32_t step = 0; step < 3; ++step) {
    const std::array gradients = {random_tensors(set, rng, 0.5), random_tensors(set, rng, 0.5)};
    together.step(step, gradients);
    reference.step(step, gradients[1]);
  }
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (!set[i].trainable) continue;
    expect_close(together.values(1).weights[i], reference.weights(i), 0.5, "weights");
  }
}

}  // namespace
}  // namespace vktrain::nn
