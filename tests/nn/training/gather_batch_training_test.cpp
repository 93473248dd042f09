// Trainings whose first layer reads the images in the data set, and the same with batches that are
// stored.
#include <cmath>
#include <string>
#include <vector>

#include "nn/executable.h"
#include "nn/ops/gemm_variants.h"
#include "nn/optimizers/optimizer.h"
#include "nn/training/step_graph.h"
#include "tests/nn/ops/gathered_fixture.h"
#include "tests/nn/training/trainer_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class GatherBatchTraining : public TrainerTest {
 protected:
  void SetUp() override {
    TrainerTest::SetUp();
    if (!gemm_can_shuffle(device().profile())) {
      GTEST_SKIP() << "needs subgroups of 8 with shuffles";
    }
  }

  std::vector<Outcome> train_gathering(const std::vector<Experiment>& replicas, bool gather) {
    TrainerOptions options;
    options.fusion.gather_batch = gather;
    return train(replicas, options);
  }

  static void expect_close(const Outcome& found, const Outcome& expected) {
    ASSERT_EQ(found.steps.size(), expected.steps.size());
    for (std::size_t i = 0; i < found.steps.size(); ++i) {
      EXPECT_NEAR(found.steps[i][1], expected.steps[i][1], 1e-4 * expected.steps[i][1]) << i;
    }
    ASSERT_EQ(found.epochs.size(), expected.epochs.size());
    for (std::size_t i = 0; i < found.epochs.size(); ++i) {
      EXPECT_NEAR(found.epochs[i][0], expected.epochs[i][0], 1e-4 * expected.epochs[i][0]) << i;
    }
  }

  // Two replicas, epochs of four batches of 64 and a rest.
  void expect_no_change(Experiment experiment) {
    Experiment second = experiment;
    second.training.seed += 1;
    const std::vector<Outcome> gathered = train_gathering({experiment, second}, true);
    const std::vector<Outcome> stored = train_gathering({experiment, second}, false);
    for (std::size_t r = 0; r < 2; ++r) expect_close(gathered[r], stored[r]);
    EXPECT_LT(gathered[0].steps.back()[1], 0.95 * gathered[0].steps.front()[1]);
    EXPECT_NE(gathered[0].steps.back()[1], gathered[1].steps.back()[1]);
  }
};

TEST_F(GatherBatchTraining, AgreesWithStoredBatches) {
  using enum OptimizerKind;
  for (const OptimizerKind kind : {sgd, adam, rmsprop, adagrad}) {
    SCOPED_TRACE(static_cast<int>(kind));
    Experiment experiment = small_experiment(kSide);
    experiment.optimizer = default_optimizer(kind, OptimizerDefinition::pytorch);
    experiment.optimizer.learning_rate = kind == sgd || kind == adagrad ? 0.05 : 0.01;
    if (kind == sgd) experiment.optimizer.momentum = 0.9;
    experiment.training.epochs = 3;
    expect_no_change(experiment);
  }
}

// Nothing is updated in the product: clipped gradients, or a normalisation behind the layer, whose
// bias then has a gradient of roundings alone.
TEST_F(GatherBatchTraining, AgreesWithStoredBatchesWhereTheOptimizerIsApart) {
  Experiment experiment = small_experiment(kSide);
  experiment.training.epochs = 3;
  experiment.training.clip_norm = 1;
  expect_no_change(experiment);
  experiment.training.clip_norm = 0;
  experiment.optimizer = default_optimizer(OptimizerKind::sgd, OptimizerDefinition::pytorch);
  experiment.optimizer.learning_rate = 0.05;
  experiment.model.layers[2] = {.type = LayerType::batch_norm};
  expect_no_change(experiment);
}

TEST_F(GatherBatchTraining, BatchesOfMoreThanAProductUpdates) {
  train_ = noisy_images(1200, kSide, 3);
  Experiment experiment = small_experiment(kSide);
  experiment.data.split.kind = SplitRule::Kind::none;
  experiment.training.batch_size = 1100;
  experiment.training.epochs = 12;
  expect_no_change(experiment);
}

// The product of a first layer of many weights updates these and their bias, an optimizer the rest:
// beside a normalisation, and with batches that other products split.
TEST_F(GatherBatchTraining, AgreesWithStoredBatchesWhereTheFirstLayerAloneIsUpdated) {
  constexpr std::int64_t kLargeSide = 28;
  train_ = noisy_images(1200, kLargeSide, 3);
  test_ = noisy_images(kTest, kLargeSide, 4);
  Experiment experiment = small_experiment(kLargeSide);
  experiment.data.split.kind = SplitRule::Kind::none;
  experiment.optimizer = default_optimizer(OptimizerKind::sgd, OptimizerDefinition::pytorch);
  experiment.optimizer.learning_rate = 0.05;
  experiment.model.layers[1].out = 32;
  experiment.training.batch_size = 1100;
  experiment.training.epochs = 12;
  expect_no_change(experiment);
  experiment.training.batch_size = 64;
  experiment.training.epochs = 1;
  experiment.model.layers[2] = {.type = LayerType::batch_norm};
  expect_no_change(experiment);
}

TEST_F(GatherBatchTraining, TakesLessMemory) {
  const auto bytes = [this](bool gather) {
    TrainerOptions options;
    options.fusion.gather_batch = gather;
    Experiment experiment = small_experiment(kSide);
    return Trainer(device(), {experiment}, train_, test_, options).planned_bytes();
  };
  // Rows of 25 floats have 28, the places one word.
  EXPECT_LE(bytes(true), bytes(false) - 64 * 28 * 4 + 64 * 4);
}

// The evaluation's metrics follow from the parameters alone, however batches of 20 and 32 and their
// rests are read.
TEST_F(GatherBatchTraining, EvaluationAgreesWithAGraphThatStoresBatches) {
  ParameterSet parameters;
  const Experiment experiment = small_experiment(kSide);
  build_step_graph(parameters, experiment, experiment.optimizer, kTest, kTest, {});
  const auto logits = [&](const runtime::DeviceProfile* profile) {
    ParameterSet declared = parameters;
    const EvaluationGraph g =
        build_evaluation_graph(declared, experiment, kTest, kTest, 32, profile);
    ParameterStorage storage(device(), declared, 1, 0);
    Executable executable(device(), g.graph, storage, {.batch = 32});
    PhiloxRng rng(5);
    for (std::size_t i = 0; i < declared.size(); ++i) {
      const auto count = static_cast<std::size_t>(declared[i].shape.elements());
      storage.write(i, 0, normal_values(count, rng, 0, 0.3));
    }
    std::vector<std::uint32_t> images(kTest * divide_up(kSide * kSide, 4)), order(kTest);
    for (std::uint32_t& word : images) word = rng.next_u32();
    for (std::uint32_t& index : order) index = rng.below(kTest);
    executable.write_words(g.dataset.images, images);
    executable.write_words(g.dataset.indices, order);
    executable.write_words(g.step.state, std::vector<std::uint32_t>{7, 1, 0, 0});
    executable.run();
    const std::vector<std::string> kernels = shaders_of(executable.plan());
    EXPECT_EQ(kernels.front(), profile ? "gather_places" : "gather_batch");
    return executable.read(g.logits);
  };
  const std::vector<float> gathered = logits(&device().profile()), stored = logits(nullptr);
  ASSERT_EQ(gathered.size(), stored.size());
  for (std::size_t i = 0; i < stored.size(); ++i) ASSERT_NEAR(gathered[i], stored[i], 1e-5) << i;
}

}  // namespace
}  // namespace vktrain::testing
