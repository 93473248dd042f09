// Steps of experiments whose first layer reads the images in the data set: which get it, and what
// memory that leaves.
#include <algorithm>
#include <string>

#include "apps/vktrain/embedded_experiments.h"
#include "nn/experiment/experiment_library.h"
#include "nn/operation.h"
#include "nn/plan.h"
#include "nn/training/step_graph.h"
#include "tests/nn/fusion_optimizer_rig.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// Whether places are made, and read.
bool gathers(const Graph& graph) {
  const ValueId places = value_of(graph, "places");
  if (places == kNoValue) return false;
  return std::ranges::any_of(graph.operations(), [places](const auto& operation) {
    return std::ranges::count(operation->inputs(), places) > 0;
  });
}

const Experiment& experiment(const char* id) {
  static const ExperimentLibrary all(app::embedded_experiments());
  return all.find(id);
}

class GatherBatchSteps : public ::testing::Test {
 protected:
  static StepGraph step_graph(ParameterSet& parameters, const Experiment& experiment,
                              bool gather = true) {
    FusionOptions options;
    options.gather_batch = gather;
    const runtime::DeviceProfile device = shuffling_device();
    return build_step_graph(parameters, experiment, experiment.optimizer, 3000, 2000, options,
                            &device);
  }
  static bool trains_gathering(const Experiment& experiment) {
    ParameterSet parameters;
    return gathers(step_graph(parameters, experiment).graph);
  }
  static bool evaluates_gathering(const Experiment& experiment,
                                  const runtime::DeviceProfile* device) {
    ParameterSet parameters;
    step_graph(parameters, experiment);
    return gathers(build_evaluation_graph(parameters, experiment, 3000, 1000, 100, device).graph);
  }
};

TEST_F(GatherBatchSteps, FullyConnectedNetworksGather) {
  const runtime::DeviceProfile device = shuffling_device();
  EXPECT_TRUE(trains_gathering(experiment("a-fcn-100k")));
  EXPECT_TRUE(evaluates_gathering(experiment("a-fcn-100k"), &device));
  EXPECT_FALSE(evaluates_gathering(experiment("a-fcn-100k"), nullptr));
}

TEST_F(GatherBatchSteps, ConvolutionsDoNot) {
  const runtime::DeviceProfile device = shuffling_device();
  EXPECT_FALSE(trains_gathering(experiment("a-cnn-100k")));
  EXPECT_FALSE(evaluates_gathering(experiment("a-cnn-100k"), &device));
}

TEST_F(GatherBatchSteps, MixedPrecisionDoesNot) {
  const runtime::DeviceProfile device = shuffling_device();
  Experiment mixed = experiment("a-fcn-100k");
  mixed.training.precision = Precision::mixed;
  EXPECT_FALSE(trains_gathering(mixed));
  EXPECT_FALSE(evaluates_gathering(mixed, &device));
}

// Augmentation is for training alone.
TEST_F(GatherBatchSteps, EvaluationsOfAugmentedTrainingsGather) {
  const runtime::DeviceProfile device = shuffling_device();
  Experiment augmented = experiment("a-fcn-100k");
  augmented.augmentation.shift = 2;
  EXPECT_FALSE(trains_gathering(augmented));
  EXPECT_TRUE(evaluates_gathering(augmented, &device));
}

TEST_F(GatherBatchSteps, XHasNoMemory) {
  const Experiment& fcn = experiment("a-fcn-100k");
  runtime::DeviceProfile device = shuffling_device();
  device.max_workgroup_count = {65535, 65535, 65535};
  const auto plan_of = [&](const StepGraph& step, const ParameterSet& parameters) {
    return Plan(step.graph, ParameterLayout(parameters), device, {.batch = 512, .replicas = 2});
  };
  ParameterSet stored_parameters, parameters;
  const StepGraph stored = step_graph(stored_parameters, fcn, false);
  const StepGraph gathered = step_graph(parameters, fcn);
  const Plan before = plan_of(stored, stored_parameters), after = plan_of(gathered, parameters);
  const ValueId x = value_of(stored.graph, "input"), places = value_of(gathered.graph, "places");
  EXPECT_EQ(before.placement(x).size, 2 * 512 * 784);
  EXPECT_EQ(after.placement(value_of(gathered.graph, "input")).offset, -1);
  EXPECT_EQ(after.placement(places).size, 2 * 512);
  // x is there from the first operation to the last weight gradient.
  EXPECT_LE(after.arena_size(), before.arena_size() - before.placement(x).size + 2 * 512);
  EXPECT_LE(after.lower_bound(), before.lower_bound() - before.placement(x).size + 2 * 512);
}

}  // namespace
}  // namespace vktrain::testing
