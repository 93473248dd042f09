// Fusions change the number of operations and nothing else.
#include "nn/fusion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "nn/differentiate.h"
#include "nn/layers/linear.h"
#include "nn/operation.h"
#include "nn/ops/add.h"
#include "nn/ops/avg_pool2d.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/bias_add.h"
#include "nn/ops/conv2d.h"
#include "nn/ops/gemm.h"
#include "nn/ops/max_pool2d.h"
#include "nn/ops/reshape.h"
#include "tests/nn/small_network.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;
using Kind = NetworkLayer::Kind;

struct NamedOptions {
  const char* name;
  FusionOptions options;
};

std::vector<NamedOptions> all_options() {
  FusionOptions bias = FusionOptions::none(), activation = bias, gradient = bias, sum = bias,
                loss = bias, head = bias;
  bias.bias = true;
  activation.activation = true;
  gradient.activation_gradient = true;
  sum.bias_gradient = true;
  loss.loss_gradient = true;
  head.bias = head.loss_gradient = head.linear_cross_entropy = true;
  FusionOptions no_head;
  no_head.linear_cross_entropy = false;
  return {{"bias", bias},
          {"activation", activation},
          {"activation gradient", gradient},
          {"bias gradient", sum},
          {"loss gradient", loss},
          {"last layer and loss", head},
          {"all but that", no_head},
          {"all", FusionOptions{}}};
}

// Of merging the loss with the last layer's product, and with the product of that layer's data
// gradient where this does not end with a derivative that reads the activation's input.
std::size_t expected_head_savings(const std::vector<NetworkLayer>& layers,
                                  const FusionOptions& options) {
  const bool bare_product = !layers.back().bias || options.bias;
  if (!options.linear_cross_entropy || !options.loss_gradient || !bare_product) return 0;
  const NetworkLayer& before = layers[layers.size() - 2];
  const bool other_operand = options.activation_gradient && before.kind == Kind::activation &&
                             derivative_needs_input(before.activation.kind);
  return other_operand ? 1 : 2;
}

// How many operations the rewrites save, from the layers alone.
std::size_t expected_savings(const std::vector<NetworkLayer>& layers,
                             const FusionOptions& options) {
  std::size_t saved = (options.loss_gradient ? 1 : 0) + expected_head_savings(layers, options);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool last = i + 1 == layers.size();
    const bool then_activation = !last && layers[i + 1].kind == Kind::activation;
    const bool then_linear = !last && layers[i + 1].kind == Kind::linear;
    // A derivative that reads the activation's input keeps it alive.
    const bool one_reader =
        then_activation && !derivative_needs_input(layers[i + 1].activation.kind);
    if (layers[i].kind == Kind::linear) {
      if (layers[i].bias) saved += (options.bias ? 1u : 0u) + (options.bias_gradient ? 1u : 0u);
      const bool bare_product = !layers[i].bias || options.bias;
      if (options.activation && one_reader && bare_product) ++saved;
    }
    const bool elementwise = layers[i].kind == Kind::batch_norm || layers[i].kind == Kind::skip;
    if (elementwise && options.activation && one_reader) ++saved;
    // The gradient of an activation's output comes straight out of the next layer's product.
    if (layers[i].kind == Kind::activation && options.activation_gradient && then_linear) ++saved;
  }
  return saved;
}

void expect_close(const NetworkResults& fused, const NetworkResults& plain) {
  ASSERT_EQ(fused.size(), plain.size());
  for (std::size_t i = 0; i < fused.size(); ++i) {
    double scale = 0;
    for (const float value : plain[i]) scale = std::max(scale, std::fabs(double{value}));
    for (std::size_t j = 0; j < fused[i].size(); ++j) {
      ASSERT_NEAR(fused[i][j], plain[i][j], 2e-5 * scale + 1e-7)
          << "result " << i << " [" << j << "]";
    }
  }
}

class FusionTest : public DeviceTest {};

TEST_F(FusionTest, EachAloneAndAllTogetherGiveTheUnfusedResults) {
  constexpr std::int64_t kColumns = 21, kClasses = 7;
  PhiloxRng rng(17);
  for (int trial = 0; trial < 12; ++trial) {
    const std::vector<NetworkLayer> layers = random_layers(rng, kClasses);
    SCOPED_TRACE(to_string(layers));
    const std::int64_t batch = 2 + rng.below(200);
    Network plain(kColumns, layers);
    const std::vector<NetworkInputs> inputs = {plain.inputs(batch, 1), plain.inputs(batch, 2)};
    const auto expected = run_on_device(device(), plain, inputs, {.batch = batch});
    for (const auto& [name, options] : all_options()) {
      SCOPED_TRACE(name);
      Network fused(kColumns, layers);
      fuse(fused.graph, options);
      EXPECT_EQ(plain.graph.operations().size() - fused.graph.operations().size(),
                expected_savings(layers, options));
      const auto results = run_on_device(device(), fused, inputs, {.batch = batch});
      for (std::size_t r = 0; r < inputs.size(); ++r) expect_close(results[r], expected[r]);
    }
    if (HasFailure()) break;
  }
}

// With every value in memory of its own nothing can overwrite another; the planned memory must
// give the same bits.
TEST_F(FusionTest, PlannedMemoryGivesTheBitsOfMemoryPerValue) {
  PhiloxRng rng(18);
  for (int trial = 0; trial < 8; ++trial) {
    const std::vector<NetworkLayer> layers = random_layers(rng, 5);
    SCOPED_TRACE(to_string(layers));
    for (const FusionOptions& options : {FusionOptions{}, FusionOptions::none()}) {
      Network network(30, layers);
      fuse(network.graph, options);
      const std::vector<NetworkInputs> inputs = {network.inputs(300, 3), network.inputs(300, 4)};
      const auto planned = run_on_device(device(), network, inputs, {.batch = 300});
      const auto apart = run_on_device(device(), network, inputs, {.batch = 300, .keep_all = true});
      EXPECT_TRUE(planned == apart);
    }
  }
}

std::size_t count(const Graph& graph, std::string_view kind) {
  std::size_t result = 0;
  for (const auto& operation : graph.operations()) result += operation->kind() == kind ? 1 : 0;
  return result;
}

const std::vector<NetworkLayer> kTwoLayers = {
    NetworkLayer::linear(8), NetworkLayer::act(Activation::relu), NetworkLayer::linear(3)};

TEST(Fusion, TwoLayersBecomeProductsAndTheLoss) {
  Network network(4, kTwoLayers);
  FusionOptions others;
  others.linear_cross_entropy = false;
  fuse(network.graph, others);
  EXPECT_EQ(count(network.graph, "gemm"), 5u);
  EXPECT_EQ(count(network.graph, "softmax_cross_entropy"), 1u);
  EXPECT_EQ(network.graph.operations().size(), 6u);
}

// Two of the products go into the loss.
TEST(Fusion, TwoLayersBecomeThreeProductsAndTheLoss) {
  Network network(4, kTwoLayers);
  fuse(network.graph);
  EXPECT_EQ(count(network.graph, "gemm"), 3u);
  EXPECT_EQ(count(network.graph, "linear_cross_entropy"), 1u);
  EXPECT_EQ(network.graph.operations().size(), 4u);
}

TEST(Fusion, KeptValuesSurvive) {
  // Sum of the first linear layer before the activation, and the loss's input.
  Network network(4, kTwoLayers);
  network.graph.keep(network.outputs[0]);
  fuse(network.graph);
  EXPECT_EQ(count(network.graph, "activation_forward"), 1u);
  EXPECT_EQ(count(network.graph, "bias_add"), 0u);
  bool made = false;
  for (const auto& operation : network.graph.operations()) {
    for (const ValueId id : operation->outputs()) made = made || id == network.outputs[0];
  }
  EXPECT_TRUE(made);
}

// Of the output of the only activation.
ValueId hidden_gradient(const Graph& graph) {
  ValueId gradient = kNoValue;
  for (const auto& operation : graph.operations()) {
    if (operation->kind() == "activation_backward") gradient = operation->inputs()[0];
  }
  EXPECT_NE(gradient, kNoValue);
  return gradient;
}

TEST(Fusion, GradientsThatAreKeptSurvive) {
  Network network(4, kTwoLayers);
  network.graph.keep(hidden_gradient(network.graph));
  fuse(network.graph);
  EXPECT_EQ(count(network.graph, "activation_backward"), 1u);
}

// The activation stays apart, because its derivative reads what stands before it; the derivative
// still goes into the product of the gradient, which takes it from that operand and for that does
// not go into the loss, as the last layer's product does.
TEST(Fusion, DerivativesOfTheInputKeepTheInput) {
  for (const Activation kind : {Activation::gelu, Activation::silu}) {
    Network network(4, {NetworkLayer::linear(8), NetworkLayer::act(kind), NetworkLayer::linear(3)});
    fuse(network.graph);
    EXPECT_EQ(count(network.graph, "activation_forward"), 1u);
    EXPECT_EQ(count(network.graph, "activation_backward"), 0u);
    EXPECT_EQ(count(network.graph, "bias_add"), 0u);
    EXPECT_EQ(count(network.graph, "linear_cross_entropy"), 1u);
    EXPECT_EQ(network.graph.operations().size(), 6u);
    std::size_t readers = 0;
    for (const auto& operation : network.graph.operations()) {
      const auto* gemm = dynamic_cast<const Gemm*>(operation.get());
      if (!gemm || gemm->epilogue().gradient_output == kNoValue) continue;
      EXPECT_EQ(gemm->epilogue().gradient_output, network.outputs[0]);
      EXPECT_EQ(gemm->epilogue().gradient_activation.kind, kind);
      ++readers;
    }
    EXPECT_EQ(readers, 1u);
  }
}

// Batch normalisation, in training and evaluation, and the sum of a residual block take the
// activation behind them.
TEST(Fusion, ElementwiseOperationsTakeActivations) {
  for (const bool training : {true, false}) {
    ParameterSet parameters;
    Graph graph(parameters);
    const ValueId x = graph.add_external("x", {kBatch, 6}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    const ValueId norm = training ? batch_norm_train(graph, x, BatchNormOptions{}, "1")
                                  : batch_norm_eval(graph, x, BatchNormOptions{}, "1");
    const ValueId hidden = activation(graph, norm, {Activation::relu}, "2");
    const ValueId sum = activation(graph, add(graph, hidden, x, "3"), {Activation::tanh}, "4");
    differentiate(graph, softmax_cross_entropy(graph, sum, labels).loss);
    FusionOptions others;
    others.activation = false;
    fuse(graph, others);
    EXPECT_EQ(count(graph, "activation_forward"), 2u);
    fuse(graph);
    EXPECT_EQ(count(graph, "activation_forward"), 0u);
    EXPECT_EQ(count(graph, training ? "batch_norm_train" : "batch_norm_eval"), 1u);
    EXPECT_EQ(count(graph, "add"), 1u);
  }
}

// y and relu(y) are both used: y must stay.
TEST(Fusion, ValuesWithTwoConsumersStay) {
  Network network(4, {NetworkLayer::linear(8), NetworkLayer::skip(), NetworkLayer::linear(3)});
  fuse(network.graph);
  EXPECT_EQ(count(network.graph, "activation_forward"), 1u);
  EXPECT_EQ(count(network.graph, "activation_backward"), 1u);
  EXPECT_EQ(count(network.graph, "bias_add"), 0u);
}

// Convolution -> activation -> max pooling -> linear; with a shortcut the activation's output is
// pooled by its means, too.
class PooledNetwork {
 public:
  explicit PooledNetwork(Activation kind, bool shortcut = false) {
    const ValueId x = graph.add_external("x", {kBatch, 1, 6, 6}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    const ValueId weight = graph.add_parameter({.name = "1.weight", .shape = {4, 1, 3, 3}});
    const Conv2dOptions convolution{.window = {.kernel = {3, 3}}};
    const ValueId hidden =
        activation(graph, conv2d(graph, x, weight, convolution, "1"), {kind}, "2");
    const Window2d window{.kernel = {2, 2}, .stride = {2, 2}};
    ValueId y = max_pool2d(graph, hidden, window, "3");
    if (shortcut) y = add(graph, y, avg_pool2d(graph, hidden, window, true, "4"), "5");
    y = linear(graph, flatten(graph, y, "6"), {.out = 3}, "7");
    differentiate(graph, softmax_cross_entropy(graph, y, labels).loss);
  }

  // How many derivatives keep an operation of their own.
  std::size_t derivatives_after(const FusionOptions& options) {
    fuse(graph, options);
    return count(graph, "activation_backward");
  }

  ParameterSet parameters;
  Graph graph{parameters};
};

TEST(Fusion, MaxPoolingTakesTheDerivativeOfTheActivationBefore) {
  FusionOptions others;
  others.max_pool2d_gradient = false;
  for (const Activation kind : {Activation::relu, Activation::tanh}) {
    EXPECT_EQ(PooledNetwork(kind).derivatives_after({}), 0u);
    EXPECT_EQ(PooledNetwork(kind).derivatives_after(others), 1u);
  }
}

TEST(Fusion, MaxPoolingLeavesDerivativesThatItDoesNotKnow) {
  EXPECT_EQ(PooledNetwork(Activation::gelu).derivatives_after({}), 1u);
  EXPECT_EQ(PooledNetwork(Activation::silu).derivatives_after({}), 1u);
}

// The derivative belongs to the sum of both gradients.
TEST(Fusion, MaxPoolingBesideAShortcutLeavesTheDerivative) {
  EXPECT_EQ(PooledNetwork(Activation::relu, true).derivatives_after({}), 1u);
}

TEST(Fusion, MaxPoolingLeavesGradientsThatAreKept) {
  PooledNetwork network(Activation::relu);
  network.graph.keep(hidden_gradient(network.graph));
  EXPECT_EQ(network.derivatives_after({}), 1u);
}

// How often operations write each gradient slot.
std::map<std::string, int> slot_writes(const Graph& graph) {
  std::map<std::string, int> writes;
  for (const auto& operation : graph.operations()) {
    for (const ValueId id : operation->outputs()) {
      if (graph.value(id).kind == ValueKind::gradient) ++writes[graph.value(id).name];
    }
  }
  return writes;
}

// Column sums of one gradient: a product takes one of them, and none gets lost.
TEST(Fusion, OneColumnSumAProduct) {
  for (const bool two_products : {false, true}) {
    ParameterSet parameters;
    Graph graph(parameters);
    const ValueId x = graph.add_external("x", {kBatch, 4}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    ValueId y = linear(graph, x, {.out = 3}, "1");
    if (two_products) {
      y = add(graph, y, linear(graph, x, {.out = 3}, "2"), "sum");
    } else {
      y = bias_add(graph, y, graph.add_parameter({.name = "2.bias", .shape = {3}}), "2");
    }
    differentiate(graph, softmax_cross_entropy(graph, y, labels).loss);
    EXPECT_EQ(count(graph, "column_sum"), 2u);
    const std::map<std::string, int> before = slot_writes(graph);
    fuse(graph);
    EXPECT_EQ(count(graph, "column_sum"), two_products ? 0u : 1u);
    EXPECT_EQ(slot_writes(graph), before);
    for (const auto& [name, writes] : before) EXPECT_EQ(writes, 1) << name;
  }
}

}  // namespace
}  // namespace vktrain::testing
