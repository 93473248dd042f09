#include "tests/nn/training/training_rig.h"

namespace vktrain::testing {

using namespace nn;

Experiment small_experiment(std::int64_t side) {
  Experiment experiment;
  experiment.id = "small";
  experiment.data.mean = 0.3;
  experiment.data.std = 0.2;
  experiment.data.split.kind = SplitRule::Kind::stratified;
  experiment.model.input = {1, side, side};
  experiment.model.layers = {{.type = LayerType::flatten},
                             {.type = LayerType::linear, .out = 12},
                             {.type = LayerType::relu},
                             {.type = LayerType::linear, .out = 10}};
  experiment.training.epochs = 2;
  experiment.training.batch_size = 64;
  experiment.training.val_batch_size = 20;
  experiment.training.test_batch_size = 32;
  experiment.training.seed = 11;
  experiment.training.log_every = 1;
  experiment.optimizer = default_optimizer(OptimizerKind::adam, OptimizerDefinition::pytorch);
  experiment.optimizer.learning_rate = 0.01;
  return experiment;
}

}  // namespace vktrain::testing
