// Gradients of whole networks: the references of the differentiated graph against central
// differences, in double.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nn/differentiate.h"
#include "nn/fusion.h"
#include "nn/layers/linear.h"
#include "nn/ops/add.h"
#include "nn/ops/bias_add.h"
#include "nn/ops/gemm.h"
#include "runtime/error.h"
#include "tests/nn/small_network.h"

namespace vktrain::testing {
namespace {

using namespace nn;

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Every element of every parameter. The step balances the truncation of the difference (h^2) with
// rounding (1e-16 / h); differences are judged by the largest gradient of the parameter.
void check(const Graph& graph, ValueId loss, const NetworkInputs& inputs, std::int64_t batch,
           std::span<const std::pair<ValueId, ValueId>> gradients) {
  ReferenceMemory analytic = reference_memory(graph, inputs, batch);
  run_reference(graph, analytic);
  for (const auto& [parameter, gradient] : gradients) {
    double scale = 1e-3;
    for (const double value : analytic[gradient]) scale = std::max(scale, std::fabs(value));
    for (std::size_t i = 0; i < analytic[gradient].size(); ++i) {
      constexpr double kStep = 1e-5;
      const auto loss_at = [&, id = parameter](double shift) {
        ReferenceMemory moved = reference_memory(graph, inputs, batch);
        moved[id][i] += shift;
        run_reference(graph, moved);
        return mean(moved[loss]);
      };
      const double numeric = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
      ASSERT_NEAR(analytic[gradient][i], numeric, 1e-6 * scale)
          << graph.value(parameter).name << " [" << i << "]";
    }
  }
}

void check_network(const std::vector<NetworkLayer>& layers, std::uint64_t seed = 1) {
  SCOPED_TRACE(to_string(layers));
  constexpr std::int64_t kBatch_ = 6;
  for (const bool fused : {false, true}) {
    Network network(5, layers);
    if (fused) fuse(network.graph);
    EXPECT_FALSE(network.gradients().empty());
    check(network.graph, network.loss.loss, network.inputs(kBatch_, seed), kBatch_,
          network.gradients());
  }
}

TEST(GradientCheck, EveryActivation) {
  for (const auto& [kind, alpha] : {std::pair{Activation::relu, 1.0f},
                                    {Activation::tanh, 1.0f},
                                    {Activation::sigmoid, 1.0f},
                                    {Activation::elu, 1.0f},
                                    {Activation::elu, 0.3f},
                                    {Activation::leaky_relu, 0.2f},
                                    {Activation::gelu, 1.0f},
                                    {Activation::silu, 1.0f}}) {
    check_network({NetworkLayer::linear(7), NetworkLayer::act(kind, alpha), NetworkLayer::linear(6),
                   NetworkLayer::act(kind, alpha), NetworkLayer::linear(4)});
  }
}

TEST(GradientCheck, BatchNorm) {
  check_network({NetworkLayer::linear(6), NetworkLayer::batch_norm(),
                 NetworkLayer::act(Activation::tanh), NetworkLayer::linear(5),
                 NetworkLayer::act(Activation::sigmoid), NetworkLayer::batch_norm(),
                 NetworkLayer::linear(3)});
}

TEST(GradientCheck, Dropout) {
  check_network({NetworkLayer::linear(8), NetworkLayer::dropout(),
                 NetworkLayer::act(Activation::tanh), NetworkLayer::linear(6),
                 NetworkLayer::act(Activation::elu), NetworkLayer::dropout(),
                 NetworkLayer::linear(3)});
}

TEST(GradientCheck, ValuesUsedTwice) {
  check_network({NetworkLayer::linear(6), NetworkLayer::skip(), NetworkLayer::skip(),
                 NetworkLayer::linear(4), NetworkLayer::act(Activation::tanh), NetworkLayer::skip(),
                 NetworkLayer::linear(3), NetworkLayer::skip()});
}

TEST(GradientCheck, RandomNetworks) {
  PhiloxRng rng(23);
  for (std::uint64_t trial = 0; trial < 6; ++trial) {
    std::vector<NetworkLayer> layers = random_layers(rng, 3);
    // ReLU has no derivative at 0, which a difference may straddle.
    for (NetworkLayer& layer : layers) {
      if (layer.activation.kind == Activation::relu) layer.activation.kind = Activation::elu;
      layer.out = std::min<std::int64_t>(layer.out, 8);
    }
    check_network(layers, trial);
  }
}

// A network made by hand: `build` turns x into logits.
class Handmade {
 public:
  template <class Build>
  explicit Handmade(Build build) {
    const ValueId x = graph.add_external("x", {kBatch, 4}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    loss = softmax_cross_entropy(graph, build(graph, x), labels);
    differentiate(graph, loss.loss);
    PhiloxRng rng(4);
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      const Value& value = graph.value(id);
      if (value.kind != ValueKind::external && value.kind != ValueKind::parameter) continue;
      for (std::int64_t i = 0; i < value.shape.with_batch(5).elements(); ++i) {
        const auto number = static_cast<float>(0.5 * rng.normal());
        inputs[id].push_back(value.dtype == DType::u32 ? rng.below(4)
                                                       : std::bit_cast<std::uint32_t>(number));
      }
      if (value.kind == ValueKind::parameter) gradients.emplace_back(id, graph.gradient_slot(id));
    }
  }
  void check_gradients() { check(graph, loss.loss, inputs, 5, gradients); }

  ParameterSet parameters;
  Graph graph{parameters};
  CrossEntropy loss;
  NetworkInputs inputs;
  std::vector<std::pair<ValueId, ValueId>> gradients;
};

const Parameter kSquare = {.name = "shared.weight", .shape = {4, 4}};
const Parameter kOther = {.name = "other.weight", .shape = {4, 4}};

TEST(GradientCheck, ParameterSharedByTwoLayers) {
  Handmade network([](Graph& graph, ValueId x) {
    const ValueId weight = graph.add_parameter(kSquare);
    const ValueId bias = graph.add_parameter({.name = "shared.bias", .shape = {4}});
    for (const char* label : {"1", "2", "3"}) {
      x = bias_add(graph, linear_product(graph, x, weight, label), bias, label);
      x = activation(graph, x, {Activation::tanh}, label);
    }
    return x;
  });
  network.check_gradients();
}

// The gradient that reaches a parameter is another value's, passed on.
TEST(GradientCheck, SumOfParameters) {
  Handmade network([](Graph& graph, ValueId x) {
    const ValueId sum =
        add(graph, graph.add_parameter(kSquare), graph.add_parameter(kOther), "weights");
    return linear_product(graph, x, sum, "1");
  });
  network.check_gradients();
}

TEST(GradientCheck, SumOfAParameterAndItself) {
  Handmade network([](Graph& graph, ValueId x) {
    const ValueId weight = graph.add_parameter(kSquare);
    return linear_product(graph, x, add(graph, weight, weight, "twice"), "1");
  });
  network.check_gradients();
}

// The bias is computed after the product that it merges with, and its backward pass stands between
// the column sum and the product's gradient, which merge too. The loss and its gradient are one
// operation, and that takes the product with its bias.
TEST(GradientCheck, BiasThatIsComputed) {
  Handmade network([](Graph& graph, ValueId x) {
    const ValueId product = linear_product(graph, x, graph.add_parameter(kSquare), "1");
    const ValueId bias = activation(graph, graph.add_parameter({.name = "1.bias", .shape = {4}}),
                                    {Activation::tanh}, "bias");
    return bias_add(graph, product, bias, "1");
  });
  network.check_gradients();
  const std::size_t unfused = network.graph.operations().size();
  fuse(network.graph);
  EXPECT_EQ(network.graph.operations().size(), unfused - 4);
  network.check_gradients();
}

TEST(GradientCheck, ParameterWithoutInfluenceIsRefused) {
  try {
    Handmade network([](Graph& graph, ValueId x) {
      linear_product(graph, x, graph.add_parameter(kOther), "unused");
      return linear_product(graph, x, graph.add_parameter(kSquare), "1");
    });
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "parameter other.weight has no influence on the loss; remove its layer");
  }
}

}  // namespace
}  // namespace vktrain::testing
