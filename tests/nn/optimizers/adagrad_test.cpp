// Adagrad on the device against its reference, alone and in replicas.
#include <array>

#include "tests/nn/optimizers/optimizer_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::nn {
namespace {

class AdagradTest : public vktrain::testing::DeviceTest {};

TEST_F(AdagradTest, PyTorch) {
  OptimizerConfig config = default_optimizer(OptimizerKind::adagrad, OptimizerDefinition::pytorch);
  config.learning_rate = 0.1;
  config.weight_decay = 0.02;
  compare_with_reference(device(), config, 41);
}

TEST_F(AdagradTest, KerasWithPenalties) {
  OptimizerConfig config = default_optimizer(OptimizerKind::adagrad, OptimizerDefinition::keras);
  config.learning_rate = 0.1;
  config.l1 = 0.01;
  config.l2 = 0.01;
  compare_with_reference(device(), config, 42);
}

TEST_F(AdagradTest, ReplicasGiveTheBitsOfSingleRuns) {
  std::array<OptimizerConfig, 3> configs;
  configs.fill(default_optimizer(OptimizerKind::adagrad, OptimizerDefinition::keras));
  configs[0].initial_accumulator = 0.5;
  configs[1].learning_rate = 0.2;
  configs[1].l2 = 0.01;
  configs[2].weight_decay = 0.1;
  compare_replicas(device(), configs, 43);
}

}  // namespace
}  // namespace vktrain::nn
