// Where linear layers are all that is trained, their weight gradients update all of them with their
// biases, and nothing is left to the optimizer: which graphs get that, and where the updates stand.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/differentiate.h"
#include "nn/fusion_optimizer.h"
#include "nn/ops/bias_add.h"
#include "nn/ops/gemm.h"
#include "nn/rewrite.h"
#include "tests/nn/fusion_optimizer_rig.h"
#include "tests/nn/small_network.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// Reads a value and makes nothing.
class Reader : public Operation {
 public:
  explicit Reader(ValueId id) : Operation({id}, {}) {}
  std::string_view kind() const override { return "reader"; }
  void lower(Lowering&) const override {}
  void reference(ReferenceMemory&) const override {}
};

std::size_t index_of(const Graph& graph, std::string_view kind) {
  const Names all = kinds(graph);
  return static_cast<std::size_t>(std::ranges::find(all, kind) - all.begin());
}

void insert_reader(Graph& graph, std::size_t index, ValueId id) {
  graph.operations().insert(graph.operations().begin() + static_cast<std::ptrdiff_t>(index),
                            std::make_unique<Reader>(id));
}

// Number of the operation that makes the value.
std::size_t maker_of(const Graph& graph, ValueId id) {
  const auto makes = [id](const auto& operation) {
    return std::ranges::count(operation->outputs(), id) > 0;
  };
  return static_cast<std::size_t>(std::ranges::find_if(graph.operations(), makes) -
                                  graph.operations().begin());
}

class WholeOptimizerFusion : public OptimizerFusion {
 protected:
  // Only layers of many weights are merged, with their biases but those that are left.
  void expect_large_layers_alone(const Graph& graph, const Names& left_biases = {}) {
    Names biases, rest;
    for (const char* name : {"3.bias", "1.bias"}) {
      const bool is_left = std::ranges::count(left_biases, name) > 0;
      (is_left ? rest : biases).emplace_back(name);
    }
    std::ranges::sort(rest);
    rest.insert(rest.end(), {"5.weight", "5.bias"});
    EXPECT_EQ(merged(graph), (Names{"3.weight", "1.weight"}));
    EXPECT_EQ(merged_biases(graph), biases);
    EXPECT_EQ(left(graph), rest);
  }
};

// Of the step graph itself: a longer product may be split, and is then better followed by one
// optimizer for all.
TEST_F(WholeOptimizerFusion, NeedsABatchThatIsNotSplit) {
  FusionCase c;
  const runtime::DeviceProfile device = shuffling_device();
  for (const std::int64_t batch : {1024, 1025}) {
    c.experiment.training.batch_size = batch;
    ParameterSet parameters;
    const StepGraph step = build_step_graph(parameters, c.experiment, c.experiment.optimizer, 3000,
                                            3000, FusionOptions{}, &device);
    if (batch > 1024) {
      expect_large_layers_alone(step.graph);
    } else {
      EXPECT_EQ(left(step.graph), Names{});
    }
  }
}

TEST_F(WholeOptimizerFusion, CanBeSwitchedOff) {
  FusionCase c;
  c.options.whole_update = false;
  expect_large_layers_alone(graph_of(c));
}

TEST_F(WholeOptimizerFusion, MergesAllLayersWithTheirBiases) {
  const Graph& graph = graph_of({});
  EXPECT_EQ(merged(graph), (Names{"5.weight", "3.weight", "1.weight"}));
  EXPECT_EQ(merged_biases(graph), (Names{"5.bias", "3.bias", "1.bias"}));
  EXPECT_EQ(left(graph), Names{});
  EXPECT_EQ(count(graph, "adam"), 0u);
  EXPECT_EQ(kinds(graph).back(), "end_step");
}

TEST_F(WholeOptimizerFusion, MergesLayersOfFewWeights) {
  FusionCase c;
  c.experiment = small_experiment(4);
  const Graph& graph = graph_of(c);
  EXPECT_EQ(merged(graph).size(), 2u);
  EXPECT_EQ(merged_biases(graph).size(), 2u);
  EXPECT_EQ(left(graph), Names{});
}

TEST_F(WholeOptimizerFusion, WeightDecayIsNoPenalty) {
  FusionCase c;
  c.experiment.optimizer.weight_decay = 0.01;
  EXPECT_EQ(merged_biases(graph_of(c)).size(), 3u);
}

// Nothing reads the weights, the bias or their gradients afterwards.
TEST_F(WholeOptimizerFusion, StandsBehindTheLastReaderOfWeightsAndBias) {
  for (const bool loss : {true, false}) {
    FusionCase c;
    c.options.linear_cross_entropy = loss;
    graph_of(c);
    for (const std::string layer : {"1", "3", "5"}) {
      const std::size_t place = update_of(parameter(layer + ".weight"));
      for (const std::string name : {".weight", ".bias"}) {
        EXPECT_FALSE(reads_from(place + 1, parameter(layer + name)));
        EXPECT_FALSE(reads_from(0, gradient(layer + name)));
      }
    }
  }
}

// The product is computed as soon as its operands are there, but for a late reader.
TEST_F(WholeOptimizerFusion, WaitsForAReaderOfTheBias) {
  FusionCase c;
  graph_of(c);
  const std::size_t early = update_of(parameter("3.weight"));
  EXPECT_LT(early, update_of(parameter("1.weight")));
  c.before = [this](Graph& graph) {
    insert_reader(graph, index_of(graph, "adam"), parameter("3.bias"));
  };
  const Graph& graph = graph_of(c);
  EXPECT_EQ(merged_biases(graph), (Names{"5.bias", "1.bias", "3.bias"}));
  EXPECT_EQ(update_of(parameter("3.weight")), index_of(graph, "reader") + 1);
  EXPECT_LT(update_of(parameter("3.weight")), index_of(graph, "end_step"));
}

TEST_F(WholeOptimizerFusion, BiasGradientsThatAreKeptSurvive) {
  for (const char* bias : {"1.bias", "3.bias", "5.bias"}) {
    SCOPED_TRACE(bias);
    FusionCase c;
    c.before = [&](Graph& graph) { graph.keep(gradient(bias)); };
    const Graph& graph = graph_of(c);
    expect_large_layers_alone(graph, {bias});
    EXPECT_LT(maker_of(graph, gradient(bias)), graph.operations().size());
  }
}

// Another operation, behind all updates, reads a bias gradient: the product that updates the
// weights makes it.
TEST_F(WholeOptimizerFusion, BiasGradientsThatOthersReadAreMade) {
  for (const char* bias : {"1.bias", "3.bias", "5.bias"}) {
    SCOPED_TRACE(bias);
    FusionCase c;
    c.before = [&](Graph& graph) {
      insert_reader(graph, graph.operations().size(), gradient(bias));
    };
    const Graph& graph = graph_of(c);
    expect_large_layers_alone(graph, {bias});
    EXPECT_LT(maker_of(graph, gradient(bias)), index_of(graph, "reader"));
  }
}

// The update of layer 3 would stand behind its data gradient, and the bias gradient is wanted
// before.
TEST_F(WholeOptimizerFusion, DoesNotDelayABiasGradient) {
  FusionCase c;
  c.before = [this](Graph& graph) {
    const ValueId id = gradient("3.bias");
    insert_reader(graph, maker_of(graph, id) + 1, id);
  };
  const Graph& graph = graph_of(c);
  EXPECT_EQ(merged(graph), Names{"1.weight"});
  EXPECT_LT(maker_of(graph, gradient("3.bias")), index_of(graph, "reader"));
}

TEST_F(WholeOptimizerFusion, KeptWeightGradientsLeaveTheBiases) {
  FusionCase c;
  c.before = [this](Graph& graph) { graph.keep(gradient("5.weight")); };
  expect_large_layers_alone(graph_of(c));
}

// Then an operation of its own makes it, for the optimizer.
TEST_F(WholeOptimizerFusion, LeavesBiasesWhoseGradientIsNotTheProducts) {
  FusionCase c;
  c.options.bias_gradient = false;
  const Graph& graph = graph_of(c);
  expect_large_layers_alone(graph, {"1.bias", "3.bias"});
  EXPECT_EQ(count(graph, "column_sum"), 3u);
}

class WholeNetworkFusion : public ::testing::Test {
 protected:
  static void optimize_and_fuse(Graph& graph, const StepInputs& step) {
    add_optimizer(graph, {}, step);
    const runtime::DeviceProfile profile = shuffling_device();
    fuse(graph, {}, &profile);
  }
};

TEST_F(WholeNetworkFusion, ErasesAnOptimizerOfNoParameters) {
  Network network(128, {NetworkLayer::linear(128, false), NetworkLayer::act(Activation::relu),
                        NetworkLayer::linear(128, false)});
  optimize_and_fuse(network.graph, network.step);
  EXPECT_EQ(merged(network.graph), (Names{"2.weight", "0.weight"}));
  EXPECT_EQ(count(network.graph, "sgd"), 0u);
}

TEST_F(WholeNetworkFusion, MergesSmallLayersWithAndWithoutBias) {
  Network network(9, {NetworkLayer::linear(5, false), NetworkLayer::act(Activation::tanh),
                      NetworkLayer::linear(6), NetworkLayer::act(Activation::relu),
                      NetworkLayer::linear(7, false)});
  optimize_and_fuse(network.graph, network.step);
  EXPECT_EQ(merged(network.graph), (Names{"4.weight", "2.weight", "0.weight"}));
  EXPECT_EQ(merged_biases(network.graph), Names{"2.bias"});
  EXPECT_EQ(count(network.graph, "sgd"), 0u);
}

TEST_F(WholeNetworkFusion, LeavesSmallLayersBesideOtherParameters) {
  Network network(9, {NetworkLayer::linear(5), NetworkLayer::batch_norm(),
                      NetworkLayer::act(Activation::relu), NetworkLayer::linear(7)});
  optimize_and_fuse(network.graph, network.step);
  EXPECT_EQ(merged(network.graph), Names{});
  EXPECT_EQ(left(network.graph).size(), 6u);
}

// x W^T + b, whose parameters are declared by the test.
class DeclaredParameters : public WholeNetworkFusion {
 protected:
  ValueId declare(const char* name, const Shape& shape) {
    return graph_.add_parameter({.name = name, .shape = shape});
  }
  ValueId layer(ValueId x, ValueId weight, ValueId bias, const char* label) {
    return bias_add(graph_, linear_product(graph_, x, weight, label), bias, label);
  }
  void finish(ValueId logits) {
    const ValueId labels = graph_.add_external("labels", {kBatch}, DType::u32, false);
    differentiate(graph_, softmax_cross_entropy(graph_, logits, labels).loss);
    optimize_and_fuse(graph_, step_);
  }

  ParameterSet parameters_;
  Graph graph_{parameters_};
  StepInputs step_ = add_step_inputs(graph_, 1);
  ValueId x_ = graph_.add_external("x", {kBatch, 128}, DType::f32, false);
};

// The kernel reaches the bias from the weights on.
TEST_F(DeclaredParameters, LeaveABiasInFrontOfItsWeights) {
  const ValueId bias = declare("1.bias", {128}), weight = declare("1.weight", {128, 128});
  finish(layer(x_, weight, bias, "1"));
  EXPECT_EQ(merged(graph_), Names{"1.weight"});
  EXPECT_EQ(left(graph_), Names{"1.bias"});
}

TEST_F(DeclaredParameters, MergeABiasFarBehindItsWeights) {
  const ValueId first = declare("1.weight", {8, 128}), second = declare("2.weight", {8, 8});
  const ValueId bias2 = declare("2.bias", {8}), bias1 = declare("1.bias", {8});
  finish(layer(layer(x_, first, bias1, "1"), second, bias2, "2"));
  EXPECT_EQ(merged(graph_), (Names{"2.weight", "1.weight"}));
  EXPECT_EQ(merged_biases(graph_), (Names{"2.bias", "1.bias"}));
  EXPECT_EQ(left(graph_), Names{});
}

// Its gradient is the sum of two.
TEST_F(DeclaredParameters, LeaveABiasOfTwoLayers) {
  const ValueId first = declare("1.weight", {128, 128}), second = declare("2.weight", {128, 128});
  const ValueId bias = declare("bias", {128});
  finish(layer(layer(x_, first, bias, "1"), second, bias, "2"));
  EXPECT_EQ(merged(graph_), (Names{"2.weight", "1.weight"}));
  EXPECT_EQ(merged_biases(graph_), Names{});
  EXPECT_EQ(left(graph_), Names{"bias"});
}

}  // namespace
}  // namespace vktrain::testing
