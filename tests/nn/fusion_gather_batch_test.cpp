// The images of a batch into the products of the first layer: which graphs get it. Of whole
// experiments: training/gather_batch_steps_test.cpp.
#include "nn/fusion_gather_batch.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/differentiate.h"
#include "nn/layers/linear.h"
#include "nn/ops/activation.h"
#include "nn/ops/add.h"
#include "nn/ops/reshape.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optimizers/gemm_update.h"
#include "nn/optimizers/optimizer_operation.h"
#include "nn/rewrite.h"
#include "tests/nn/fusion_optimizer_rig.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// The operations that read the images in the data set, but for the one that makes batches.
Names readers_of_images(const Graph& graph) {
  const ValueId images = value_of(graph, "images");
  Names names;
  for (const auto& operation : graph.operations()) {
    if (operation->kind() == "gather_batch") continue;
    if (std::ranges::count(operation->inputs(), images) > 0) names.emplace_back(operation->kind());
  }
  return names;
}

// Whether the batch has places; all that reads the images has them, or nothing.
bool gathers(const Graph& graph) {
  const ValueId places = value_of(graph, "places");
  std::size_t readers = 0;
  for (const auto& operation : graph.operations()) {
    if (operation->kind() == "gather_batch") {
      EXPECT_EQ(std::ranges::count(operation->outputs(), places), places == kNoValue ? 0 : 1);
    } else if (places != kNoValue && std::ranges::count(operation->inputs(), places) > 0) {
      ++readers;
    }
  }
  EXPECT_EQ(readers, readers_of_images(graph).size());
  EXPECT_EQ(places != kNoValue, readers > 0);
  return places != kNoValue;
}

LayerSpec linear_of(std::int64_t out) { return {.type = LayerType::linear, .out = out}; }

class GatherBatchFusion : public OptimizerFusion {
 protected:
  // The rest of a model whose layers begin so.
  static FusionCase beginning_with(std::vector<LayerSpec> layers) {
    FusionCase c;
    const auto& rest = c.experiment.model.layers;
    const bool flat = layers.front().type == LayerType::flatten;
    layers.insert(layers.end(), rest.begin() + (flat ? 1 : 0), rest.end());
    c.experiment.model.layers = std::move(layers);
    return c;
  }
};

TEST_F(GatherBatchFusion, ReadsImagesForBothProducts) {
  EXPECT_EQ(readers_of_images(graph_of({})), (Names{"gemm", "gemm_update"}));
  FusionCase c;
  c.options.weight_update = false;
  const Graph& graph = graph_of(c);
  EXPECT_TRUE(gathers(graph));
  EXPECT_EQ(readers_of_images(graph), (Names{"gemm", "gemm"}));
}

// Whatever else is merged or not.
TEST_F(GatherBatchFusion, AppliesAlone) {
  FusionCase c;
  c.options = FusionOptions::none();
  EXPECT_FALSE(gathers(graph_of(c)));
  c.options.gather_batch = true;
  const Graph& graph = graph_of(c);
  EXPECT_TRUE(gathers(graph));
  EXPECT_EQ(readers_of_images(graph), (Names{"gemm", "gemm"}));
}

TEST_F(GatherBatchFusion, IsRefused) {
  const std::pair<const char*, void (*)(FusionCase&)> refusals[] = {
      {"switched off", [](FusionCase& c) { c.options.gather_batch = false; }},
      {"flips", [](FusionCase& c) { c.experiment.augmentation.horizontal_flip = 0.5; }},
      {"shifts", [](FusionCase& c) { c.experiment.augmentation.shift = 1; }},
      {"crops", [](FusionCase& c) { c.experiment.augmentation.crop_padding = 2; }},
      {"257 outputs", [](FusionCase& c) { c.experiment.model.layers[1].out = 257; }},
      {"no device", [](FusionCase& c) { c.device.reset(); }},
      {"no shuffles", [](FusionCase& c) { c.device->subgroup_shuffle = false; }},
      {"subgroups of 4", [](FusionCase& c) { c.device->subgroup_size = 4; }},
      {"few texels", [](FusionCase& c) { c.device->max_texel_elements = 1 << 16; }},
      {"GPU", [](FusionCase& c) { c.device->kind = runtime::DeviceKind::discrete; }},
      {"kept",
       [](FusionCase& c) {
         c.before = [](Graph& graph) { graph.keep(value_of(graph, "input")); };
       }},
  };
  for (const auto& [name, refuse] : refusals) {
    SCOPED_TRACE(name);
    for (const bool updates : {true, false}) {
      FusionCase c;
      c.options.weight_update = updates;
      EXPECT_TRUE(gathers(graph_of(c)));
      refuse(c);
      EXPECT_FALSE(gathers(graph_of(c)));
    }
  }
}

// The view that flattens the batch.
TEST_F(GatherBatchFusion, LeavesABatchThatIsKeptUnderAnotherShape) {
  FusionCase c;
  std::size_t views = 0;
  c.before = [&views](Graph& graph) {
    for (std::size_t i = 0; i < graph.operations().size(); ++i) {
      const auto* view = as<Reshape>(graph, i);
      if (!view || graph.root(view->y()) != value_of(graph, "input")) continue;
      graph.keep(view->y());
      ++views;
    }
  };
  EXPECT_FALSE(gathers(graph_of(c)));
  EXPECT_EQ(views, 1u);
}

TEST_F(GatherBatchFusion, TakesLayersOfUpTo256Outputs) {
  FusionCase c;
  for (const std::int64_t out : {1, 255, 256}) {
    c.experiment.model.layers[1].out = out;
    EXPECT_TRUE(gathers(graph_of(c))) << out;
  }
}

TEST_F(GatherBatchFusion, LeavesABatchThatAnotherOperationReads) {
  const std::pair<const char*, std::vector<LayerSpec>> first[] = {
      {"dropout", {{.type = LayerType::dropout, .p = 0.2}}},
      {"activation", {{.type = LayerType::tanh}}},
      {"convolution", {{.type = LayerType::conv2d, .out = 4, .kernel = {3, 3}}}},
      {"pooling", {{.type = LayerType::max_pool2d, .kernel = {2, 2}}}},
      {"batch norm", {{.type = LayerType::flatten}, {.type = LayerType::batch_norm}}},
  };
  for (const auto& [name, layers] : first) {
    EXPECT_FALSE(gathers(graph_of(beginning_with(layers)))) << name;
  }
}

// The only layer is in the loss, which reads floats.
TEST_F(GatherBatchFusion, LeavesABatchThatTheLossReads) {
  FusionCase c;
  c.experiment.model.input = {1, 20, 20};
  c.experiment.model.layers = {{.type = LayerType::flatten}, linear_of(10)};
  const Graph& merged = graph_of(c);
  EXPECT_EQ(count(merged, "linear_cross_entropy"), 1u);
  EXPECT_FALSE(gathers(merged));
  c.options.linear_cross_entropy = false;
  EXPECT_TRUE(gathers(graph_of(c)));
}

// With batches that are split, the rest of the layers is left to the optimizer.
TEST_F(GatherBatchFusion, ReadsImagesForAnUpdateOfTheFirstLayerAlone) {
  for (FusionCase c : {FusionCase(), normalised_case()}) {
    c.options.whole_update = false;
    const Graph& graph = graph_of(c);
    EXPECT_GT(left(graph).size(), 0u);
    EXPECT_EQ(readers_of_images(graph), (Names{"gemm", "gemm_update"}));
    c.experiment.model.layers[1].out = 20;  // too few weights to merge
    const Graph& small = graph_of(c);
    EXPECT_EQ(std::ranges::count(merged(small), "1.weight"), 0);
    EXPECT_EQ(readers_of_images(small), (Names{"gemm", "gemm"}));
  }
}

// The weights are merged with their gradient, the bias, whose gradient that makes, is not.
TEST_F(GatherBatchFusion, LeavesAnUpdateThatMakesTheGradientOfABias) {
  for (FusionCase c : {FusionCase(), normalised_case()}) {
    c.before = [this](Graph& graph) { graph.keep(gradient("1.bias")); };
    const Graph& graph = graph_of(c);
    EXPECT_EQ(std::ranges::count(merged(graph), "1.weight"), 1);
    EXPECT_FALSE(gathers(graph));
  }
}

// Layers that all read a batch, whose results are added up.
bool gathers_for(const std::vector<std::int64_t>& outputs, bool activation_of_x = false) {
  ParameterSet parameters;
  Graph graph(parameters);
  const StepInputs step = add_step_inputs(graph, 1);
  const DatasetInputs dataset = add_dataset_inputs(graph, {1, 5, 5}, 30, 20);
  const Batch batch = gather_batch(graph, dataset, step, {}, 20);
  ValueId sum = kNoValue;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    const ValueId y = linear(graph, linear(graph, batch.x, {.out = outputs[i]}, name + "1"),
                             {.out = 7}, name + "2");
    sum = sum == kNoValue ? y : add(graph, sum, y, "sum");
  }
  if (activation_of_x) {
    const ValueId x = activation(graph, flatten(graph, batch.x, "3"), {Activation::tanh}, "4");
    sum = add(graph, sum, linear(graph, x, {.out = 7}, "5"), "sum");
  }
  differentiate(graph, softmax_cross_entropy(graph, sum, batch.labels).loss);
  add_optimizer(graph, {}, step);
  const runtime::DeviceProfile device = shuffling_device();
  fuse(graph, {}, &device);
  const bool result = gathers(graph);
  EXPECT_EQ(readers_of_images(graph).size(), result ? 2 * outputs.size() : 0);
  return result;
}

TEST(GatherBatchFusionOfBranches, NeedsThatAllReadersCan) {
  EXPECT_TRUE(gathers_for({8}));
  EXPECT_TRUE(gathers_for({8, 256}));
  EXPECT_FALSE(gathers_for({8, 257}));
  EXPECT_FALSE(gathers_for({257, 8}));
  EXPECT_FALSE(gathers_for({8}, true));
}

// x x^T, which has no second operand to read x as floats.
TEST(GatherBatchFusionOfBranches, LeavesAProductWithItself) {
  ParameterSet parameters;
  Graph graph(parameters);
  const StepInputs step = add_step_inputs(graph, 1);
  const DatasetInputs dataset = add_dataset_inputs(graph, {1, 5, 5}, 30, 20);
  const ValueId x = flatten(graph, gather_batch(graph, dataset, step, {}, 20).x, "1");
  const ValueId other = graph.add_parameter({.name = "other", .shape = {20, 25}});
  const auto add_product = [&graph](GemmForm form, ValueId a, ValueId b, const Shape& shape) {
    graph.add(std::make_unique<Gemm>(form, a, b, graph.add_activation("c", shape)));
  };
  const runtime::DeviceProfile device = shuffling_device();
  const ValueId unpadded = graph.add_external("unpadded", {20, 25}, DType::f32, false);
  add_product(GemmForm::nt, x, unpadded, {kBatch, 20});  // its padding is anything
  fuse_gather_batch(graph, device);
  EXPECT_FALSE(gathers(graph));
  graph.operations().pop_back();
  add_product(GemmForm::nt, x, other, {kBatch, 20});
  add_product(GemmForm::tn, x, x, {25, 25});
  fuse_gather_batch(graph, device);
  EXPECT_FALSE(gathers(graph));
  graph.operations().pop_back();
  add_product(GemmForm::nt, other, x, {20, 20});  // x is B
  fuse_gather_batch(graph, device);
  EXPECT_FALSE(gathers(graph));
  graph.operations().pop_back();
  fuse_gather_batch(graph, device);
  EXPECT_TRUE(gathers(graph));
  const std::size_t values = graph.value_count();
  fuse_gather_batch(graph, device);  // has nothing more to do
  EXPECT_EQ(graph.value_count(), values);
}

// Of a forward product that does not read the batch itself.
TEST(GatherBatchFusionOfBranches, TakesWeightGradientsOfUpTo256Outputs) {
  for (const bool update : {true, false}) {
    for (const std::int64_t out : {256, 257}) {
      ParameterSet parameters;
      Graph graph(parameters);
      const StepInputs step = add_step_inputs(graph, 1);
      const DatasetInputs dataset = add_dataset_inputs(graph, {1, 5, 5}, 30, 20);
      const ValueId x = flatten(graph, gather_batch(graph, dataset, step, {}, 20).x, "1");
      const ValueId dy = graph.add_external("dy", {kBatch, out}, DType::f32, false);
      const ValueId weight = graph.add_parameter({.name = "weight", .shape = {out, 25}});
      const ValueId gradient = graph.gradient_slot(weight);
      OptimizerValues values = {.step = step, .parameters = {weight}, .gradients = {gradient}};
      if (update) {
        graph.add(
            std::make_unique<GemmUpdate>(dy, x, kNoValue, make_optimizer({}, std::move(values))));
      } else {
        graph.add(std::make_unique<Gemm>(GemmForm::tn, dy, x, gradient));
      }
      const runtime::DeviceProfile device = shuffling_device();
      fuse_gather_batch(graph, device);
      EXPECT_EQ(gathers(graph), out == 256);
    }
  }
}

}  // namespace
}  // namespace vktrain::testing
