// Models built from the text of experiments: parameters, summaries, and gradients against central
// differences, in double.
#include "nn/layers/model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "nn/differentiate.h"
#include "nn/experiment/experiment_toml.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "tests/nn/small_network.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr std::int64_t kImages = 3;

Experiment experiment(const std::vector<std::string>& layers) {
  std::string text = "[data]\nclasses = 3\n[model]\ninput = [2, 6, 6]\nlayers = [";
  for (const std::string& layer : layers) text += fmt::format("\"{}\", ", layer);
  return parse_experiment(text + "]\n", "");
}

// A differentiated model over images [2, 6, 6], every value that it reads drawn by its name.
struct Built {
  explicit Built(const Experiment& e, ModelMode mode = ModelMode::train) {
    step = add_step_inputs(graph, 1);
    x = graph.add_external("x", {kBatch, 2, 6, 6}, DType::f32, false);
    labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    model = build_model(graph, e, x, step, mode);
    loss = softmax_cross_entropy(graph, model.logits, labels);
    if (mode == ModelMode::train) differentiate(graph, loss.loss);
  }

  NetworkInputs inputs() const {
    NetworkInputs inputs;
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      const Value& value = graph.value(id);
      const bool read = value.kind == ValueKind::external || value.kind == ValueKind::parameter ||
                        value.kind == ValueKind::state;
      if (!read || value.view_of != kNoValue) continue;
      PhiloxRng rng(std::hash<std::string>()(value.name));
      for (std::int64_t i = 0; i < value.shape.with_batch(kImages).elements(); ++i) {
        const double number =
            value.kind == ValueKind::state ? 1 + 0.1 * rng.normal() : 0.4 * rng.normal();
        inputs[id].push_back(value.dtype == DType::u32
                                 ? (id == labels ? rng.below(3) : 0)
                                 : std::bit_cast<std::uint32_t>(static_cast<float>(number)));
      }
    }
    return inputs;
  }

  double loss_of(ReferenceMemory memory) const {
    run_reference(graph, memory);
    double sum = 0;
    for (const double value : memory[loss.loss]) sum += value;
    return sum / static_cast<double>(memory[loss.loss].size());
  }
  ReferenceMemory memory() const { return reference_memory(graph, inputs(), kImages); }

  ParameterSet parameters;
  Graph graph{parameters};
  StepInputs step;
  ValueId x = kNoValue, labels = kNoValue;
  Model model;
  CrossEntropy loss;
};

// Some elements of every parameter; the step balances truncation and rounding.
void check_gradients(Built& built) {
  ReferenceMemory analytic = built.memory();
  run_reference(built.graph, analytic);
  for (ValueId id = 0; id < built.graph.value_count(); ++id) {
    if (built.graph.value(id).kind != ValueKind::parameter) continue;
    const std::vector<double>& gradient = analytic[built.graph.gradient_slot(id)];
    double scale = 1e-3;
    for (const double value : gradient) scale = std::max(scale, std::fabs(value));
    for (std::size_t i = 0; i < gradient.size(); i += 1 + gradient.size() / 7) {
      constexpr double kStep = 1e-5;
      const auto loss_at = [&](double shift) {
        ReferenceMemory moved = built.memory();
        moved[id][i] += shift;
        return built.loss_of(std::move(moved));
      };
      const double numeric = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
      ASSERT_NEAR(gradient[i], numeric, 1e-6 * scale)
          << built.graph.value(id).name << " [" << i << "]";
    }
  }
}

const std::vector<std::string> kBranches = {
    "conv2d 4 kernel=3 padding=1 name=stem",
    "tanh name=stem_out",
    "conv2d 4 kernel=3 padding=same groups=2 bias=false name=branch",
    "batch_norm name=branch_norm",
    "add inputs=branch_norm,stem_out name=sum",
    "silu name=sum_out",
    "conv2d 2 kernel=1 stride=2 inputs=input name=shortcut",
    "avg_pool2d 2 inputs=sum_out name=pooled",
    "concat inputs=pooled,shortcut name=all",
    "max_pool2d 2 stride=1 inputs=all name=peaks",
    "flatten order=channels_last inputs=peaks name=flat",
    "linear 3 inputs=flat name=classes"};

TEST(Model, ParametersAreNamedAndSizedAsPyTorchs) {
  const Built built(experiment({"conv2d 4 kernel=3x5 padding=1x2 groups=2", "batch_norm name=norm",
                                "conv2d 6 kernel=1 bias=false name=mix", "flatten", "linear 3"}));
  const auto expect = [&](const char* name, const Shape& shape, std::int64_t fan_in,
                          std::int64_t fan_out, bool penalised) {
    SCOPED_TRACE(name);
    const Parameter& parameter = built.parameters[built.parameters.index_of(name)];
    EXPECT_EQ(parameter.shape, shape);
    EXPECT_EQ(parameter.fan_in, fan_in);
    EXPECT_EQ(parameter.fan_out, fan_out);
    EXPECT_EQ(parameter.penalised, penalised);
  };
  // torch.nn.init: fan_in = weight.size(1) * 15, fan_out = weight.size(0) * 15, whatever the
  // groups.
  expect("0.weight", {4, 1, 3, 5}, 15, 60, false);
  expect("0.bias", {4}, 15, 60, false);
  expect("mix.weight", {6, 4, 1, 1}, 4, 6, false);
  expect("4.weight", {3, 216}, 216, 3, true);
  expect("4.bias", {3}, 216, 3, false);
  EXPECT_EQ(built.parameters[built.parameters.index_of("norm.running_var")].shape, (Shape{4}));
  EXPECT_EQ(built.parameters.size(), 9u);
}

TEST(Model, SummariesCountWhatALayerDoes) {
  const Experiment e = experiment(
      {"conv2d 4 kernel=3 stride=2 padding=1", "relu", "global_avg_pool2d", "linear 3 name=end"});
  const Model model = Built(e).model;
  ASSERT_EQ(model.layers.size(), 4u);
  EXPECT_EQ(model.layers[0].name, "0");
  EXPECT_EQ(model.layers[0].type, "conv2d");
  EXPECT_EQ(model.layers[0].output, (Shape{kBatch, 4, 3, 3}));
  EXPECT_EQ(model.layers[0].parameters, 4 * 18 + 4);
  EXPECT_EQ(model.layers[0].multiply_adds, 9 * 4 * 18);
  EXPECT_EQ(model.layers[2].output, (Shape{kBatch, 4}));
  EXPECT_EQ(model.layers[3].name, "end");
  EXPECT_EQ(model.layers[3].multiply_adds, 12);
  std::int64_t parameters = 0;
  for (const LayerSummary& layer : model.layers) parameters += layer.parameters;
  EXPECT_EQ(parameters, parameter_count(e));
}

TEST(Model, BothModesDeclareTheSameParameters) {
  const Experiment e = experiment({"conv2d 4 kernel=3", "batch_norm", "dropout2d 0.25", "flatten",
                                   "dropout 0.125", "linear 3"});
  EXPECT_EQ(dropout_probabilities(e), (std::vector<double>{0.25, 0.125}));
  const Built train(e), evaluate(e, ModelMode::evaluate);
  ASSERT_EQ(train.parameters.size(), evaluate.parameters.size());
  for (std::size_t i = 0; i < train.parameters.size(); ++i) {
    EXPECT_EQ(train.parameters[i], evaluate.parameters[i]);
  }
}

TEST(Model, GradientsOfBranchesAgreeWithDifferences) {
  Built built(experiment(kBranches));
  check_gradients(built);
}

TEST(Model, GradientsThroughTheOtherLayersAgreeWithDifferences) {
  Built built(experiment({"conv2d 3 kernel=3 dilation=2 padding=2", "gelu",
                          "avg_pool2d 3 stride=2 padding=1 count_include_pad=false",
                          "conv2d 4 kernel=3", "leaky_relu 0.3", "batch_norm", "elu",
                          "global_avg_pool2d", "linear 3", "softmax"}));
  check_gradients(built);
}

// Names, not places, decide what a layer computes.
TEST(Model, AnyOrderOfTheListComputesTheSame) {
  std::vector<std::string> reversed(kBranches.rbegin(), kBranches.rend());
  for (std::string& layer : reversed) {
    if (layer.starts_with("tanh")) layer += " inputs=stem";
    if (layer.starts_with("conv2d 4 kernel=3 padding=1")) layer += " inputs=input";
    if (layer.starts_with("conv2d 4 kernel=3 padding=same")) layer += " inputs=stem_out";
    if (layer.starts_with("batch_norm")) layer += " inputs=branch";
    if (layer.starts_with("silu")) layer += " inputs=sum";
  }
  const Built first(experiment(kBranches)), second(experiment(reversed));
  EXPECT_EQ(first.loss_of(first.memory()), second.loss_of(second.memory()));
}

}  // namespace
}  // namespace vktrain::testing
