// Weight gradients and their part of the optimizer become one operation where the weights are many:
// which graphs get it, and where it stands. Where nothing is left to the optimizer:
// fusion_optimizer_whole_test.cpp.
#include "nn/fusion_optimizer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "nn/differentiate.h"
#include "nn/ops/gemm.h"
#include "nn/rewrite.h"
#include "tests/nn/fusion_optimizer_rig.h"
#include "tests/nn/small_network.h"

namespace vktrain::testing {
namespace {

using namespace nn;

TEST_F(OptimizerFusion, MergesLargeLayersAndLeavesTheRest) {
  FusionCase c = normalised_case();
  c.options.weight_update = false;
  const std::size_t products = count(graph_of(c), "gemm");
  c.options.weight_update = true;
  const Graph& graph = graph_of(c);
  EXPECT_EQ(merged(graph), (Names{"3.weight", "1.weight"}));
  EXPECT_EQ(merged_biases(graph), (Names{"3.bias", "1.bias"}));
  EXPECT_EQ(left(graph), (Names{"4.weight", "4.bias", "5.weight", "5.bias"}));
  EXPECT_EQ(count(graph, "gemm") + 2, products);
  const Names all = kinds(graph);
  EXPECT_EQ(Names(all.end() - 2, all.end()), (Names{"adam", "end_step"}));
}

// Nothing reads the weights or their gradient afterwards.
TEST_F(OptimizerFusion, StandsBehindTheLastReaderOfTheWeights) {
  const Graph& graph = graph_of(normalised_case());
  for (const std::string layer : {"1", "3"}) {
    const ValueId weight = parameter(layer + ".weight");
    const std::size_t place = update_of(weight);
    EXPECT_FALSE(reads_from(place + 1, weight));
    EXPECT_FALSE(reads_from(0, gradient(layer + ".weight")));
    const std::vector<ValueId>& made = graph.operations()[place]->outputs();
    EXPECT_EQ(std::ranges::count(made, gradient(layer + ".bias")), 1);
  }
}

// The data gradient of layer 3 reads its weights; the gradient of layer 1, which is not merged,
// comes later.
TEST_F(OptimizerFusion, StandsNoLaterThanBehindThatReader) {
  FusionCase c;
  c.before = [this](Graph& graph) { graph.keep(gradient("1.weight")); };
  const Graph& graph = graph_of(c);
  const ValueId weight = parameter("3.weight");
  const std::size_t place = update_of(weight);
  const auto* before = as<Gemm>(graph, place - 1);
  const auto* behind = as<Gemm>(graph, place + 1);
  ASSERT_TRUE(before && behind);
  EXPECT_EQ(before->b(), weight);
  EXPECT_EQ(behind->c(), gradient("1.weight"));
}

TEST_F(OptimizerFusion, LeavesLayersBelow16384Weights) {
  FusionCase c = normalised_case();
  c.experiment.model.layers[3].out = 511;
  EXPECT_EQ(merged(graph_of(c)), Names{"1.weight"});
}

TEST_F(OptimizerFusion, IsRefused) {
  const std::pair<const char*, void (*)(FusionCase&)> refusals[] = {
      {"l1", [](FusionCase& c) { c.experiment.optimizer.l1 = 1e-4; }},
      {"l2", [](FusionCase& c) { c.experiment.optimizer.l2 = 1e-4; }},
      {"clip_value", [](FusionCase& c) { c.experiment.training.clip_value = 1; }},
      {"clip_norm", [](FusionCase& c) { c.experiment.training.clip_norm = 1; }},
      {"switched off", [](FusionCase& c) { c.options.weight_update = false; }},
      {"no device", [](FusionCase& c) { c.device.reset(); }},
      {"no shuffles", [](FusionCase& c) { c.device->subgroup_shuffle = false; }},
      {"subgroups of 4", [](FusionCase& c) { c.device->subgroup_size = 4; }},
      {"few texels", [](FusionCase& c) { c.device->max_texel_elements = 1 << 16; }},
      {"slots apart", [](FusionCase& c) { c.device->max_storage_range = 1 << 18; }},
      {"GPU", [](FusionCase& c) { c.device->kind = runtime::DeviceKind::discrete; }},
  };
  for (const auto& [name, refuse] : refusals) {
    SCOPED_TRACE(name);
    for (FusionCase c : {FusionCase(), normalised_case()}) {
      const std::size_t parameters = c.experiment.model.layers[4].type == LayerType::relu ? 6 : 8;
      refuse(c);
      const Graph& graph = graph_of(c);
      EXPECT_EQ(merged(graph), Names{});
      EXPECT_EQ(left(graph).size(), parameters);
    }
  }
}

TEST_F(OptimizerFusion, WeightDecayIsNoPenalty) {
  FusionCase c = normalised_case();
  c.experiment.optimizer.weight_decay = 0.01;
  EXPECT_EQ(merged(graph_of(c)).size(), 2u);
}

TEST_F(OptimizerFusion, GradientsThatAreKeptSurvive) {
  FusionCase c = normalised_case();
  c.before = [this](Graph& graph) { graph.keep(gradient("1.weight")); };
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

}  // namespace
}  // namespace vktrain::testing
