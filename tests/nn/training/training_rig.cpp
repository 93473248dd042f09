#include "tests/nn/training/training_rig.h"

#include "nn/rng.h"

namespace vktrain::testing {

using namespace nn;

ImageSet noisy_images(std::int64_t count, std::int64_t side, std::uint64_t seed) {
  ImageSet set;
  set.count = count;
  set.height = side;
  set.width = side;
  set.classes = 10;
  PhiloxRng rng(seed);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t label = rng.below(10);
    set.labels.push_back(static_cast<std::uint8_t>(label));
    for (std::uint32_t pixel = 0; pixel < static_cast<std::uint32_t>(side * side); ++pixel) {
      const std::uint32_t noise = rng.below(140);
      set.pixels.push_back(static_cast<std::uint8_t>(pixel == 2 * label ? noise + 100 : noise));
    }
  }
  return set;
}

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
