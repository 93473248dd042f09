// Weight gradients and their part of the optimizer become one operation where the weights are many:
// which graphs get it, and where it stands.
#include "nn/fusion_optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nn/differentiate.h"
#include "nn/ops/gemm.h"
#include "nn/optimizers/optimizer_operation.h"
#include "nn/rewrite.h"
#include "nn/training/step_graph.h"
#include "tests/nn/small_network.h"
#include "tests/nn/training/training_rig.h"

namespace vktrain::testing {
namespace {

using namespace nn;
using Names = std::vector<std::string>;

// A CPU driver whose subgroups are 8 lanes with shuffles.
runtime::DeviceProfile shuffling_device() {
  runtime::DeviceProfile profile;
  profile.kind = runtime::DeviceKind::cpu;
  profile.subgroup_size = 8;
  profile.subgroup_shuffle = true;
  profile.max_storage_range = 1 << 27;
  profile.max_allocation = 1 << 30;
  profile.max_texel_elements = 1 << 27;
  profile.texel_alignment = 16;
  return profile;
}

Names kinds(const Graph& graph) {
  Names result;
  for (const auto& operation : graph.operations()) result.emplace_back(operation->kind());
  return result;
}

std::size_t count(const Graph& graph, std::string_view kind) {
  return static_cast<std::size_t>(std::ranges::count(kinds(graph), kind));
}

Names names(const Graph& graph, const std::vector<ValueId>& values) {
  Names result;
  for (const ValueId id : values) result.push_back(graph.value(id).name);
  return result;
}

// The weights that their gradients' products update, in the order of the operations.
Names merged(const Graph& graph) {
  std::vector<ValueId> weights;
  for (const auto& operation : graph.operations()) {
    if (operation->kind() == "gemm_update") weights.push_back(operation->outputs()[0]);
  }
  return names(graph, weights);
}

// What the optimizer that is left updates.
Names left(const Graph& graph) {
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const auto* optimizer = as<OptimizerOperation>(graph, i);
    if (optimizer) return names(graph, optimizer->values().parameters);
  }
  return {};
}

// Layers 1, 3 and 5 have 25,088, 16,384 and 5,120 weights.
struct Case {
  Experiment experiment = small_experiment(28);
  FusionOptions options;
  std::optional<runtime::DeviceProfile> device = shuffling_device();
  std::function<void(Graph&)> before = nullptr;  // the rewrite

  Case() {
    const auto linear = [](std::int64_t out) {
      return LayerSpec{.type = LayerType::linear, .out = out};
    };
    const LayerSpec relu = {.type = LayerType::relu};
    experiment.model.layers = {
        {.type = LayerType::flatten}, linear(32), relu, linear(512), relu, linear(10)};
  }
};

class OptimizerFusion : public ::testing::Test {
 protected:
  const Graph& graph_of(const Case& c) {
    parameters_ = {};
    step_ = std::make_unique<StepGraph>(build_step_graph(
        parameters_, c.experiment, c.experiment.optimizer, 100, 64, FusionOptions::none()));
    if (c.before) c.before(step_->graph);
    fuse(step_->graph, c.options, c.device ? &*c.device : nullptr);
    return step_->graph;
  }

  ValueId value(const std::string& name, ValueKind kind) const {
    const Graph& graph = step_->graph;
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      const Value& value = graph.value(id);
      if (value.kind == kind && graph.parameters()[value.parameter].name == name) return id;
    }
    return kNoValue;
  }

  std::size_t update_of(ValueId weight) const {
    const auto& operations = step_->graph.operations();
    std::size_t i = 0;
    while (operations.at(i)->kind() != "gemm_update" || operations[i]->outputs()[0] != weight) ++i;
    return i;
  }

  bool reads_from(std::size_t first, ValueId id) const {
    const auto& operations = step_->graph.operations();
    return std::any_of(
        operations.begin() + static_cast<std::ptrdiff_t>(first), operations.end(),
        [id](const auto& operation) { return std::ranges::count(operation->inputs(), id) > 0; });
  }

 private:
  ParameterSet parameters_;
  std::unique_ptr<StepGraph> step_;
};

TEST_F(OptimizerFusion, MergesLargeLayersAndLeavesTheRest) {
  Case c;
  c.options.weight_update = false;
  const std::size_t products = count(graph_of(c), "gemm");
  c.options.weight_update = true;
  const Graph& graph = graph_of(c);
  EXPECT_EQ(merged(graph), (Names{"3.weight", "1.weight"}));
  EXPECT_EQ(left(graph), (Names{"1.bias", "3.bias", "5.weight", "5.bias"}));
  EXPECT_EQ(count(graph, "gemm") + 2, products);
  const Names all = kinds(graph);
  EXPECT_EQ(Names(all.end() - 2, all.end()), (Names{"adam", "end_step"}));
}

// Nothing reads the weights or their gradient afterwards.
TEST_F(OptimizerFusion, StandsBehindTheLastReaderOfTheWeights) {
  const Graph& graph = graph_of({});
  for (const std::string layer : {"1", "3"}) {
    const ValueId weight = value(layer + ".weight", ValueKind::parameter);
    const std::size_t place = update_of(weight);
    EXPECT_FALSE(reads_from(place + 1, weight));
    EXPECT_FALSE(reads_from(0, value(layer + ".weight", ValueKind::gradient)));
    const std::vector<ValueId>& made = graph.operations()[place]->outputs();
    EXPECT_EQ(std::ranges::count(made, value(layer + ".bias", ValueKind::gradient)), 1);
  }
}

// The data gradient of layer 3 reads its weights; the gradient of layer 1, which is not merged,
// comes later.
TEST_F(OptimizerFusion, StandsNoLaterThanBehindThatReader) {
  Case c;
  c.before = [this](Graph& graph) { graph.keep(value("1.weight", ValueKind::gradient)); };
  const Graph& graph = graph_of(c);
  const ValueId weight = value("3.weight", ValueKind::parameter);
  const std::size_t place = update_of(weight);
  const auto* before = as<Gemm>(graph, place - 1);
  const auto* behind = as<Gemm>(graph, place + 1);
  ASSERT_TRUE(before && behind);
  EXPECT_EQ(before->b(), weight);
  EXPECT_EQ(behind->c(), value("1.weight", ValueKind::gradient));
}

TEST_F(OptimizerFusion, LeavesLayersBelow16384Weights) {
  Case c;
  c.experiment.model.layers[3].out = 511;
  EXPECT_EQ(merged(graph_of(c)), Names{"1.weight"});
}

TEST_F(OptimizerFusion, IsRefused) {
  const std::pair<const char*, void (*)(Case&)> refusals[] = {
      {"l1", [](Case& c) { c.experiment.optimizer.l1 = 1e-4; }},
      {"l2", [](Case& c) { c.experiment.optimizer.l2 = 1e-4; }},
      {"clip_value", [](Case& c) { c.experiment.training.clip_value = 1; }},
      {"clip_norm", [](Case& c) { c.experiment.training.clip_norm = 1; }},
      {"switched off", [](Case& c) { c.options.weight_update = false; }},
      {"no device", [](Case& c) { c.device.reset(); }},
      {"no shuffles", [](Case& c) { c.device->subgroup_shuffle = false; }},
      {"subgroups of 4", [](Case& c) { c.device->subgroup_size = 4; }},
      {"few texels", [](Case& c) { c.device->max_texel_elements = 1 << 16; }},
      {"slots apart", [](Case& c) { c.device->max_storage_range = 1 << 18; }},
      {"GPU", [](Case& c) { c.device->kind = runtime::DeviceKind::discrete; }},
  };
  for (const auto& [name, refuse] : refusals) {
    SCOPED_TRACE(name);
    Case c;
    refuse(c);
    const Graph& graph = graph_of(c);
    EXPECT_EQ(merged(graph), Names{});
    EXPECT_EQ(left(graph).size(), 6u);
  }
}

TEST_F(OptimizerFusion, WeightDecayIsNoPenalty) {
  Case c;
  c.experiment.optimizer.weight_decay = 0.01;
  EXPECT_EQ(merged(graph_of(c)).size(), 2u);
}

TEST_F(OptimizerFusion, GradientsThatAreKeptSurvive) {
  Case c;
  c.before = [this](Graph& graph) { graph.keep(value("1.weight", ValueKind::gradient)); };
  EXPECT_EQ(merged(graph_of(c)), Names{"3.weight"});
}

// The sum of two products' results is the gradient.
TEST_F(OptimizerFusion, LeavesWeightsThatTwoLayersUse) {
  ParameterSet parameters;
  Graph graph(parameters);
  const StepInputs step = add_step_inputs(graph, 1);
  const ValueId x = graph.add_external("x", {kBatch, 128}, DType::f32, false);
  const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
  const ValueId weight = graph.add_parameter({.name = "1.weight", .shape = {128, 128}});
  const ValueId y = linear_product(graph, linear_product(graph, x, weight, "1"), weight, "2");
  differentiate(graph, softmax_cross_entropy(graph, y, labels).loss);
  add_optimizer(graph, {}, step);
  const runtime::DeviceProfile profile = shuffling_device();
  fuse(graph, {}, &profile);
  EXPECT_EQ(merged(graph), Names{});
}

TEST_F(OptimizerFusion, ErasesAnOptimizerOfNoParameters) {
  Network network(128, {NetworkLayer::linear(128, false), NetworkLayer::act(Activation::relu),
                        NetworkLayer::linear(128, false)});
  add_optimizer(network.graph, {}, network.step);
  const runtime::DeviceProfile profile = shuffling_device();
  fuse(network.graph, {}, &profile);
  EXPECT_EQ(merged(network.graph), (Names{"2.weight", "0.weight"}));
  EXPECT_EQ(count(network.graph, "sgd"), 0u);
}

}  // namespace
}  // namespace vktrain::testing
