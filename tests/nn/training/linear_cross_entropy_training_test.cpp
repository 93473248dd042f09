// Trainings with the last layer in the loss and without: which steps get it, and whole trainings.
#include <cmath>

#include "apps/vktrain/embedded_experiments.h"
#include "nn/experiment/experiment_library.h"
#include "nn/training/step_graph.h"
#include "tests/nn/training/trainer_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

std::size_t count(const Graph& graph, std::string_view kind) {
  std::size_t result = 0;
  for (const auto& operation : graph.operations()) result += operation->kind() == kind ? 1 : 0;
  return result;
}

const ExperimentLibrary& library() {
  static const ExperimentLibrary all(app::embedded_experiments());
  return all;
}

// How many merged losses, and how many others.
using Losses = std::pair<std::size_t, std::size_t>;

Losses losses(const Graph& graph) {
  return {count(graph, "linear_cross_entropy"), count(graph, "softmax_cross_entropy")};
}

Losses losses_of_step(const Experiment& experiment, const FusionOptions& options = {}) {
  ParameterSet parameters;
  return losses(
      build_step_graph(parameters, experiment, experiment.optimizer, 1000, 900, options).graph);
}

Losses losses_of_evaluation(const Experiment& experiment) {
  ParameterSet parameters;
  build_step_graph(parameters, experiment, experiment.optimizer, 1000, 900, {});
  return losses(build_evaluation_graph(parameters, experiment, 1000, 900, 100).graph);
}

TEST(LinearCrossEntropySteps, TrainingsOfFewClassesGetIt) {
  for (const char* id : {"a-fcn-100k", "a-cnn-10k", "resnet-small"}) {
    SCOPED_TRACE(id);
    const Experiment& experiment = library().find(id);
    EXPECT_EQ(losses_of_step(experiment), Losses(1, 0));
    EXPECT_EQ(losses_of_step(experiment, FusionOptions::none()).first, 0u);
    FusionOptions others;
    others.linear_cross_entropy = false;
    EXPECT_EQ(losses_of_step(experiment, others), Losses(0, 1));
  }
}

TEST(LinearCrossEntropySteps, MixedPrecisionDoesNotGetIt) {
  Experiment experiment = library().find("a-fcn-100k");
  experiment.training.precision = Precision::mixed;
  EXPECT_EQ(losses_of_step(experiment), Losses(0, 1));
}

TEST(LinearCrossEntropySteps, EvaluationsDoNotGetIt) {
  for (const char* id : {"a-fcn-100k", "a-cnn-10k", "resnet-small"}) {
    EXPECT_EQ(losses_of_evaluation(library().find(id)), Losses(0, 1)) << id;
  }
}

class LinearCrossEntropyTraining : public TrainerTest {
 protected:
  std::vector<Outcome> train_merged(const std::vector<Experiment>& replicas, bool merged) {
    TrainerOptions options;
    options.fusion.linear_cross_entropy = merged;
    return train(replicas, options);
  }

  static void expect_close(const Outcome& found, const Outcome& expected) {
    ASSERT_EQ(found.steps.size(), expected.steps.size());
    ASSERT_FALSE(found.steps.empty());
    for (std::size_t i = 0; i < found.steps.size(); ++i) {
      EXPECT_NEAR(found.steps[i][1], expected.steps[i][1], 1e-5 * expected.steps[i][1]) << i;
    }
    ASSERT_EQ(found.parameters.tensors.size(), expected.parameters.tensors.size());
    for (std::size_t t = 0; t < found.parameters.tensors.size(); ++t) {
      const SafeTensor& tensor = found.parameters.tensors[t];
      if (tensor.dtype != "F32") continue;
      const std::vector<float> a = f32_values(tensor);
      const std::vector<float> b = f32_values(expected.parameters.tensors[t]);
      for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5) << tensor.name;
    }
  }
};

// Two replicas, batches of 64 and a rest, with momentum, which passes roundings on as they are.
TEST_F(LinearCrossEntropyTraining, AgreesWithTheOperationsApart) {
  Experiment experiment = small_experiment(kSide);
  experiment.optimizer = default_optimizer(OptimizerKind::sgd, OptimizerDefinition::pytorch);
  experiment.optimizer.learning_rate = 0.05;
  experiment.optimizer.momentum = 0.9;
  experiment.training.epochs = 3;
  experiment.training.label_smoothing = 0.1;
  Experiment second = experiment;
  second.training.seed += 1;
  for (const LayerType activation : {LayerType::relu, LayerType::gelu}) {
    for (Experiment* replica : {&experiment, &second}) {
      replica->model.layers[2] = {.type = activation};
    }
    const std::vector<Outcome> merged = train_merged({experiment, second}, true);
    const std::vector<Outcome> apart = train_merged({experiment, second}, false);
    ASSERT_EQ(merged.size(), 2u);
    for (std::size_t r = 0; r < 2; ++r) expect_close(merged[r], apart[r]);
    EXPECT_LT(merged[0].steps.back()[1], 0.95 * merged[0].steps.front()[1]) << "nothing is trained";
  }
}

TEST_F(LinearCrossEntropyTraining, SavesTwoDispatchesAStep) {
  const auto dispatches = [this](bool merged) {
    TrainerOptions options;
    options.fusion.linear_cross_entropy = merged;
    return Trainer(device(), {small_experiment(kSide)}, train_, test_, options)
        .dispatches_per_step();
  };
  EXPECT_EQ(dispatches(true) + 2, dispatches(false));
}

}  // namespace
}  // namespace vktrain::testing
