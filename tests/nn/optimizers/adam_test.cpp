// Adam and AdamW on the device against their reference, alone and in replicas.
#include <array>

#include "tests/nn/optimizers/optimizer_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::nn {
namespace {

class AdamTest : public vktrain::testing::DeviceTest {};

OptimizerConfig adam(OptimizerKind kind, OptimizerDefinition definition) {
  OptimizerConfig config = default_optimizer(kind, definition);
  config.learning_rate = 0.02;
  return config;
}

TEST_F(AdamTest, PyTorch) {
  compare_with_reference(device(), adam(OptimizerKind::adam, OptimizerDefinition::pytorch), 21);
}

TEST_F(AdamTest, PyTorchWithALargeEpsilonAndWeightDecay) {
  OptimizerConfig config = adam(OptimizerKind::adam, OptimizerDefinition::pytorch);
  config.epsilon = 0.1;
  config.weight_decay = 0.03;
  compare_with_reference(device(), config, 22);
}

TEST_F(AdamTest, KerasWithALargeEpsilonAndPenalties) {
  OptimizerConfig config = adam(OptimizerKind::adam, OptimizerDefinition::keras);
  config.epsilon = 0.1;
  config.l1 = 0.01;
  config.l2 = 0.02;
  compare_with_reference(device(), config, 23);
}

TEST_F(AdamTest, EqualBetas) {
  OptimizerConfig config = adam(OptimizerKind::adam, OptimizerDefinition::pytorch);
  config.beta1 = 0.999;
  compare_with_reference(device(), config, 24);
}

TEST_F(AdamTest, DecoupledWeightDecay) {
  OptimizerConfig config = adam(OptimizerKind::adamw, OptimizerDefinition::pytorch);
  config.weight_decay = 0.5;
  compare_with_reference(device(), config, 25);
}

TEST_F(AdamTest, ReplicasGiveTheBitsOfSingleRuns) {
  for (const OptimizerKind kind : {OptimizerKind::adam, OptimizerKind::adamw}) {
    std::array<OptimizerConfig, 3> configs;
    configs.fill(adam(kind, OptimizerDefinition::pytorch));
    configs[0].learning_rate = 0.001;
    configs[0].beta1 = 0.5;
    configs[1].l1 = 0.01;
    configs[1].epsilon = 1e-3;
    configs[2].l2 = 0.05;
    configs[2].weight_decay = 0.2;
    compare_replicas(device(), configs, 26);
  }
}

}  // namespace
}  // namespace vktrain::nn
