// The last linear layer into the loss: which graphs get it, and that nothing but roundings differs.
#include "nn/fusion_linear_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <set>

#include "nn/differentiate.h"
#include "nn/ops/add.h"
#include "nn/ops/confusion_matrix.h"
#include "nn/ops/gemm.h"
#include "nn/ops/linear_cross_entropy.h"
#include "runtime/error.h"
#include "tests/nn/small_network.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;
using Layers = std::vector<NetworkLayer>;

FusionOptions others() {
  FusionOptions options;
  options.linear_cross_entropy = false;
  return options;
}

std::size_t count(const Graph& graph, std::string_view kind) {
  return static_cast<std::size_t>(std::ranges::count_if(
      graph.operations(), [kind](const auto& operation) { return operation->kind() == kind; }));
}

// The merged operation, or null.
const LinearCrossEntropy* head_of(const Graph& graph) {
  for (const auto& operation : graph.operations()) {
    const auto* head = dynamic_cast<const LinearCrossEntropy*>(operation.get());
    if (head) return head;
  }
  return nullptr;
}

bool makes(const Graph& graph, ValueId id) {
  return std::ranges::any_of(graph.operations(), [id](const auto& operation) {
    return std::ranges::count(operation->outputs(), id) > 0;
  });
}

// What reads the result of an operation stands behind it.
void expect_order(const Graph& graph) {
  std::set<ValueId> later;
  for (auto operation = graph.operations().rbegin(); operation != graph.operations().rend();
       ++operation) {
    for (const ValueId id : (*operation)->outputs()) later.insert(id);
    for (const ValueId id : (*operation)->inputs()) {
      EXPECT_FALSE(id != kNoValue && later.contains(id) &&
                   std::ranges::count((*operation)->outputs(), id) == 0)
          << (*operation)->kind() << " reads " << graph.value(id).name << " before it is made";
    }
  }
}

// No head: nullopt. Else the activation whose derivative the data gradient is multiplied by, or
// nullopt where it is not merged.
struct Merged {
  std::optional<Activation> data_gradient;
};

void expect_merged(const Graph& graph, const std::optional<Merged>& expected) {
  expect_order(graph);
  const LinearCrossEntropy* head = head_of(graph);
  ASSERT_EQ(head != nullptr, expected.has_value());
  EXPECT_EQ(count(graph, "softmax_cross_entropy"), head ? 0u : 1u);
  EXPECT_EQ(count(graph, "linear_cross_entropy"), head ? 1u : 0u);
  if (!head) return;
  ASSERT_EQ(head->values().data_gradient != kNoValue, expected->data_gradient.has_value());
  if (expected->data_gradient) {
    EXPECT_EQ(head->values().gradient_activation.kind, *expected->data_gradient);
  }
}

struct Described {
  const char* name;
  Layers layers;
  std::optional<Merged> expected;
};

NetworkLayer linear(std::int64_t out, bool bias = true) { return NetworkLayer::linear(out, bias); }
NetworkLayer act(Activation kind) { return NetworkLayer::act(kind, 0.5f); }

std::vector<Described> described_networks() {
  const Merged plain = {Activation::none}, without = {std::nullopt};
  const Layers two = {linear(8), act(Activation::relu)};
  const auto with = [](Layers layers, const Layers& more) {
    layers.insert(layers.end(), more.begin(), more.end());
    return layers;
  };
  std::vector<Described> all = {
      {"two layers", with(two, {linear(3)}), Merged{Activation::relu}},
      {"no bias", with(two, {linear(3, false)}), Merged{Activation::relu}},
      {"one class", with(two, {linear(1)}), Merged{Activation::relu}},
      {"16 classes", with(two, {linear(16)}), Merged{Activation::relu}},
      {"17 classes", with(two, {linear(17)}), std::nullopt},
      {"512 columns", {linear(512), act(Activation::relu), linear(3)}, Merged{Activation::relu}},
      {"513 columns", {linear(513), act(Activation::relu), linear(3)}, std::nullopt},
      {"a single layer", {linear(3)}, without},
      {"no activation", {linear(8), linear(3)}, plain},
      {"dropout between", with(two, {NetworkLayer::dropout(), linear(3)}), plain},
      {"normalisation between", with(two, {NetworkLayer::batch_norm(), linear(3)}), plain},
      {"a shortcut before", with(two, {NetworkLayer::skip(), linear(3)}), plain},
      {"an activation of the logits", with(two, {linear(3), act(Activation::tanh)}), std::nullopt},
      {"a shortcut of the logits", with(two, {linear(3), NetworkLayer::skip()}), std::nullopt},
      {"dropout of the logits", with(two, {linear(3), NetworkLayer::dropout()}), std::nullopt},
  };
  for (const Activation kind : {Activation::tanh, Activation::sigmoid, Activation::elu,
                                Activation::leaky_relu, Activation::gelu, Activation::silu}) {
    const bool other = derivative_needs_input(kind);
    all.push_back({to_string(kind).data(),
                   {linear(8), act(kind), linear(3)},
                   other ? without : Merged{kind}});
  }
  return all;
}

TEST(LinearCrossEntropyFusion, GraphsThatGetIt) {
  for (const auto& [name, layers, expected] : described_networks()) {
    SCOPED_TRACE(name);
    Network network(4, layers), plain(4, layers);
    fuse(network.graph);
    fuse(plain.graph, others());
    expect_merged(network.graph, expected);
    expect_merged(plain.graph, std::nullopt);
    const std::size_t saved = !expected ? 0 : expected->data_gradient ? 2 : 1;
    EXPECT_EQ(plain.graph.operations().size() - network.graph.operations().size(), saved);
    EXPECT_EQ(count(plain.graph, "gemm") - count(network.graph, "gemm"), saved);
  }
}

TEST(LinearCrossEntropyFusion, TakesTheOperandsOfAllThree) {
  for (const bool bias : {true, false}) {
    Network network(4, {linear(8), act(Activation::leaky_relu), linear(3, bias)});
    fuse(network.graph);
    const LinearCrossEntropy* head = head_of(network.graph);
    ASSERT_TRUE(head);
    const LinearCrossEntropyValues& v = head->values();
    EXPECT_EQ(v.x, network.outputs[1]);
    EXPECT_EQ(network.graph.value(v.weight).name, "2.weight");
    ASSERT_EQ(v.bias != kNoValue, bias);
    EXPECT_EQ(bias ? network.graph.value(v.bias).name : "", bias ? "2.bias" : "");
    EXPECT_EQ(v.labels, network.labels);
    EXPECT_EQ(v.result.loss, network.loss.loss);
    EXPECT_EQ(v.result.correct, network.loss.correct);
    EXPECT_EQ(v.gradient_activation, (ActivationSpec{Activation::leaky_relu, 0.5f}));
    EXPECT_EQ(head->label, "2");
    EXPECT_EQ(v.logits, network.outputs[2]);
  }
}

TEST(LinearCrossEntropyFusion, NeedsTheFusionsBeforeIt) {
  const auto merged = [](bool FusionOptions::*off, bool bias = true) {
    FusionOptions options;
    options.*off = false;
    auto network = Network(4, {linear(8), act(Activation::relu), linear(3, bias)});
    fuse(network.graph, options);
    const LinearCrossEntropy* head = head_of(network.graph);
    if (!head) return std::optional<Activation>();
    EXPECT_NE(head->values().data_gradient, kNoValue);
    return std::optional(head->values().gradient_activation.kind);
  };
  EXPECT_EQ(merged(&FusionOptions::linear_cross_entropy), std::nullopt);
  EXPECT_EQ(merged(&FusionOptions::loss_gradient), std::nullopt);
  EXPECT_EQ(merged(&FusionOptions::bias), std::nullopt);
  EXPECT_EQ(merged(&FusionOptions::bias, false), Activation::relu);
  EXPECT_EQ(merged(&FusionOptions::activation), Activation::relu);
  // The derivative is an operation of its own.
  EXPECT_EQ(merged(&FusionOptions::activation_gradient), Activation::none);
  EXPECT_EQ(merged(&FusionOptions::bias_gradient), Activation::relu);
}

TEST(LinearCrossEntropyFusion, LogitsThatAreKeptSurvive) {
  Network network(4, {linear(8), act(Activation::relu), linear(3)});
  network.graph.keep(network.outputs[2]);
  fuse(network.graph);
  expect_merged(network.graph, std::nullopt);
  EXPECT_TRUE(makes(network.graph, network.outputs[2]));
}

TEST(LinearCrossEntropyFusion, LogitsThatAnotherOperationReadsSurvive) {
  Network network(4, {linear(8), act(Activation::relu), linear(3)});
  confusion_matrix(network.graph, network.outputs[2], network.labels);
  fuse(network.graph);
  expect_merged(network.graph, std::nullopt);
  EXPECT_TRUE(makes(network.graph, network.outputs[2]));
}

// The merged operation makes both gradients, so that they may be kept.
TEST(LinearCrossEntropyFusion, GradientsThatAreKeptSurvive) {
  Network network(4, {linear(8), linear(3)});
  std::vector<ValueId> gradients;  // of the logits, and of what is before the last layer
  for (const auto& operation : network.graph.operations()) {
    const auto* gemm = dynamic_cast<const Gemm*>(operation.get());
    if (gemm && gemm->form() == GemmForm::nn) gradients = {gemm->a(), gemm->c()};
  }
  ASSERT_EQ(gradients.size(), 2u);
  for (const ValueId id : gradients) network.graph.keep(id);
  fuse(network.graph);
  expect_merged(network.graph, Merged{Activation::none});
  for (const ValueId id : gradients) EXPECT_TRUE(makes(network.graph, id));
}

// The derivative has to be applied to a copy: the data gradient is read by somebody else.
TEST(LinearCrossEntropyFusion, DataGradientsThatAreKeptSurvive) {
  Network network(4, {linear(8), act(Activation::relu), linear(3)});
  ValueId gradient = kNoValue;
  for (const auto& operation : network.graph.operations()) {
    if (operation->kind() == "activation_backward") gradient = operation->inputs()[0];
  }
  network.graph.keep(gradient);
  fuse(network.graph);
  expect_merged(network.graph, Merged{Activation::none});
  EXPECT_TRUE(makes(network.graph, gradient));
  EXPECT_EQ(count(network.graph, "activation_backward"), 1u);
}

TEST(LinearCrossEntropyFusion, LossesWithoutAGradientStay) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 4}, DType::f32, false);
  const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
  const ValueId weight = graph.add_parameter({.name = "1.weight", .shape = {3, 4}});
  const CrossEntropy loss =
      softmax_cross_entropy(graph, linear_product(graph, x, weight, "1"), labels);
  fuse(graph);
  expect_merged(graph, std::nullopt);
  differentiate(graph, loss.loss);
  fuse(graph);
  expect_merged(graph, Merged{std::nullopt});
}

// Whatever has become of the logits' gradient: the product applies an activation to them.
TEST(LinearCrossEntropyFusion, ProductsWithAnActivationStay) {
  for (const Activation kind : {Activation::none, Activation::tanh}) {
    ParameterSet parameters;
    Graph graph(parameters);
    const ValueId x = graph.add_external("x", {kBatch, 4}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    const ValueId weight = graph.add_parameter({.name = "1.weight", .shape = {3, 4}});
    const ValueId logits = graph.add_activation("logits", {kBatch, 3});
    GemmEpilogue epilogue;
    epilogue.activation.kind = kind;
    graph.add(std::make_unique<Gemm>(GemmForm::nt, x, weight, logits, epilogue));
    const CrossEntropy result = {.loss = graph.add_activation("loss", {kBatch}),
                                 .correct = graph.add_activation("correct", {kBatch}, DType::u32)};
    const ValueId gradient = graph.add_activation("gradient", {kBatch, 3});
    graph.add(std::make_unique<SoftmaxCrossEntropy>(logits, labels, result, gradient));
    fuse(graph);
    const bool merged = kind == Activation::none;
    expect_merged(graph, merged ? std::optional(Merged{std::nullopt}) : std::nullopt);
  }
}

// x -> 1 -> 2 -> `last` -> 3, all with one weight; the logits are those of 3, or with `sum` their
// sum with what 2 makes.
std::unique_ptr<Graph> sharing_graph(ParameterSet& parameters, Activation last, bool sum) {
  auto graph = std::make_unique<Graph>(parameters);
  const ValueId x = graph->add_external("x", {kBatch, 4}, DType::f32, false);
  const ValueId labels = graph->add_external("labels", {kBatch}, DType::u32, false);
  const ValueId weight = graph->add_parameter({.name = "weight", .shape = {4, 4}});
  const ValueId first = linear_product(*graph, x, weight, "1");
  const ValueId second = linear_product(*graph, first, weight, "2");
  const ValueId hidden = activation(*graph, second, {last}, "2");
  const ValueId third = linear_product(*graph, hidden, weight, "3");
  const ValueId logits = sum ? add(*graph, second, third, "4") : third;
  differentiate(*graph, softmax_cross_entropy(*graph, logits, labels).loss);
  fuse(*graph);
  return graph;
}

// Of the products by the weight the last layer's own are taken or none.
TEST(LinearCrossEntropyFusion, LayersThatShareAWeight) {
  ParameterSet parameters;
  const auto expect = [&](Activation last, bool sum, const std::optional<Merged>& expected) {
    SCOPED_TRACE(to_string(last));
    const auto graph = sharing_graph(parameters, last, sum);
    expect_merged(*graph, expected);
    if (!expected) return;
    EXPECT_EQ(head_of(*graph)->label, "3");
  };
  expect(Activation::none, true, std::nullopt);
  expect(Activation::none, false, Merged{Activation::none});
  expect(Activation::relu, false, Merged{Activation::relu});
  expect(Activation::gelu, false, Merged{std::nullopt});
}

TEST(LinearCrossEntropyFusion, IsNotDifferentiatedAfterwards) {
  Network network(4, {linear(8), linear(3)});
  fuse(network.graph);
  EXPECT_THROW(differentiate(network.graph, network.loss.loss), Error);
}

class LinearCrossEntropyFusionTest : public DeviceTest {
 protected:
  std::size_t dispatches(const Layers& layers, const FusionOptions& options) {
    Network network(4, layers);
    fuse(network.graph, options);
    return Plan(network.graph, ParameterLayout(network.parameters), device().profile(),
                {.batch = 20})
        .dispatch_count();
  }

  // The roundings of single precision, in the scale of a result's largest element.
  static void expect_close(const NetworkResults& fused, const NetworkResults& plain) {
    ASSERT_EQ(fused.size(), plain.size());
    for (std::size_t i = 0; i < fused.size(); ++i) {
      double scale = 0;
      for (const float value : plain[i]) scale = std::max(scale, std::fabs(double{value}));
      for (std::size_t j = 0; j < fused[i].size(); ++j) {
        ASSERT_NEAR(fused[i][j], plain[i][j], 5e-6 * scale + 1e-7) << i << " [" << j << "]";
      }
    }
  }
};

TEST_F(LinearCrossEntropyFusionTest, SavesTwoDispatches) {
  const Layers two = {linear(8), act(Activation::relu), linear(3)}, one = {linear(3)};
  EXPECT_EQ(dispatches(two, others()), dispatches(two, {}) + 2);
  EXPECT_EQ(dispatches(one, others()), dispatches(one, {}) + 1);
}

TEST_F(LinearCrossEntropyFusionTest, ChangesNoLossAndNoGradient) {
  std::vector<Layers> networks;
  for (const Described& d : described_networks()) {
    if (d.expected) networks.push_back(d.layers);
  }
  PhiloxRng rng(41);
  for (int trial = 0; trial < 4; ++trial) networks.push_back(random_layers(rng, 1 + rng.below(16)));
  for (const Layers& layers : networks) {
    SCOPED_TRACE(to_string(layers));
    Network plain(13, layers), fused(13, layers);
    fuse(plain.graph, others());
    fuse(fused.graph);
    ASSERT_TRUE(head_of(fused.graph));
    const std::int64_t batch = 2 + rng.below(150);
    const std::vector<NetworkInputs> inputs = {plain.inputs(batch, 1), plain.inputs(batch, 2)};
    const auto expected = run_on_device(device(), plain, inputs, {.batch = batch});
    const auto found = run_on_device(device(), fused, inputs, {.batch = batch});
    for (std::size_t r = 0; r < inputs.size(); ++r) expect_close(found[r], expected[r]);
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace vktrain::testing
