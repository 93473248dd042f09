// RMSprop on the device against its reference, alone and in replicas.
#include <array>

#include "tests/nn/optimizers/optimizer_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::nn {
namespace {

class RmsPropTest : public vktrain::testing::DeviceTest {};

OptimizerConfig rmsprop(OptimizerDefinition definition) {
  OptimizerConfig config = default_optimizer(OptimizerKind::rmsprop, definition);
  config.learning_rate = 0.01;
  return config;
}

TEST_F(RmsPropTest, PyTorch) {
  compare_with_reference(device(), rmsprop(OptimizerDefinition::pytorch), 31);
}

TEST_F(RmsPropTest, Keras) {
  OptimizerConfig config = rmsprop(OptimizerDefinition::keras);
  config.l2 = 0.02;
  compare_with_reference(device(), config, 32);
}

TEST_F(RmsPropTest, MomentumAndWeightDecay) {
  OptimizerConfig config = rmsprop(OptimizerDefinition::pytorch);
  config.momentum = 0.8;
  config.weight_decay = 0.03;
  config.epsilon = 0.1;
  compare_with_reference(device(), config, 33);
}

TEST_F(RmsPropTest, KerasMomentum) {
  OptimizerConfig config = rmsprop(OptimizerDefinition::keras);
  config.momentum = 0.8;
  compare_with_reference(device(), config, 34);
}

TEST_F(RmsPropTest, ReplicasGiveTheBitsOfSingleRuns) {
  std::array<OptimizerConfig, 3> configs;
  configs.fill(rmsprop(OptimizerDefinition::pytorch));
  configs[0].momentum = 0.9;
  configs[1].alpha = 0.5;
  configs[1].l1 = 0.01;
  configs[2].learning_rate = 0.003;
  configs[2].epsilon = 0.1;
  compare_replicas(device(), configs, 35);
}

}  // namespace
}  // namespace vktrain::nn
