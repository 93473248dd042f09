// Convolutions that pool their own output by tiles of 2 x 2, and whose gradients read the pooled
// gradient and the winners: against the references, against the unfused graph, and which graphs get
// them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <vector>

#include "nn/differentiate.h"
#include "nn/fusion.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"
#include "nn/ops/add.h"
#include "nn/ops/avg_pool2d.h"
#include "nn/ops/conv2d_variants.h"
#include "nn/ops/gemm.h"
#include "nn/ops/max_pool2d.h"
#include "nn/ops/reshape.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "runtime/error.h"
#include "tests/nn/ops/conv2d_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr Window2d kTile{.kernel = {2, 2}, .stride = {2, 2}};

Conv2dSizes sizes_of(const ConvCase& c) {
  return conv2d_sizes({c.batch, c.in_channels, c.input.height, c.input.width}, c.out_channels,
                      c.options);
}

// The networks' own first, then sizes that no tile or vector divides, the widest rows and the
// smallest output.
std::vector<ConvCase> fixed_cases() {
  const Size2d one = {1, 1}, two = {2, 2}, none = {0, 0};
  const Window2d same = {{3, 3}, one, one, one, one};
  return {
      {4, 1, {28, 28}, 8, {same, 1}},
      {5, 8, {14, 14}, 16, {same, 1}},
      {2, 3, {28, 28}, 5, {{{5, 5}, one, none, none, one}, 1}},
      {3, 2, {2, 2}, 3, {same, 1}},
      {3, 6, {6, 4}, 9, {{{3, 3}, one, two, two, two}, 3}},
      {3, 4, {9, 16}, 4, {{{3, 3}, two, {1, 0}, {0, 1}, one}, 1}},
      {2, 2, {4, 32}, 17, {same, 1}},
      {2, 1, {6, 32}, 2, {{{1, 2}, {1, 2}, none, none, one}, 1}},
      {3, 5, {8, 6}, 5, {same, 5}},
      {1, 7, {4, 2}, 1, {{one, one, none, none, one}, 1}},
  };
}

std::vector<ConvCase> random_cases(const runtime::DeviceProfile& profile, std::size_t count) {
  PhiloxRng rng(31);
  const auto between = [&rng](std::int64_t low, std::int64_t high) {
    return low + rng.below(static_cast<std::uint32_t>(high - low + 1));
  };
  const auto size = [&](std::int64_t low, std::int64_t high) {
    return Size2d{between(low, high), between(low, high)};
  };
  std::vector<ConvCase> all;
  while (all.size() < count) {
    ConvCase c;
    c.batch = between(1, 9);
    c.options.groups = between(1, 3);
    c.in_channels = c.options.groups * between(1, 6);
    c.out_channels = c.options.groups * between(1, 12);
    c.input = size(6, 24);
    c.options.window = {.kernel = size(1, 5),
                        .stride = size(1, 2),
                        .padding_begin = size(0, 2),
                        .padding_end = size(0, 2),
                        .dilation = {1, 1}};
    if (conv2d_rows::pools(sizes_of(c), profile)) all.push_back(c);
  }
  return all;
}

std::size_t count(const Graph& graph, std::string_view kind) {
  return static_cast<std::size_t>(std::ranges::count_if(
      graph.operations(), [&](const auto& operation) { return operation->kind() == kind; }));
}

// Small integers, whose sums are exact in any order: with ties, and without near misses.
OpCase with_integers(OpCase c) {
  c.fill = [](const Value& value, std::size_t size, std::uint32_t,
              PhiloxRng& rng) -> std::optional<std::vector<std::uint32_t>> {
    if (value.dtype == DType::u32) return std::nullopt;
    std::vector<float> values(size);
    for (float& v : values) v = static_cast<float>(rng.below(5)) - 2;
    return words_of(values);
  };
  return c;
}

bool is_winners(const Value& value) { return value.name.ends_with("packed_winners"); }

class Conv2dPooledTest : public OpTest {
 protected:
  void SetUp() override {
    OpTest::SetUp();
    profile_ = device().profile();
    profile_.kind = runtime::DeviceKind::cpu;
    if (!conv2d_rows::supports(Conv2dSizes{}, profile_)) {
      GTEST_SKIP() << "this device cannot run the rows kernels";
    }
  }

  // x -> activation -> convolution -> activation -> pooling, fused.
  OpCase pooled_case(const ConvCase& conv, const ActivationSpec& spec, std::uint64_t seed) {
    OpCase c;
    c.batch = conv.batch;
    c.columns = conv.in_channels * conv.input.height * conv.input.width;
    c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
    c.seed = seed;
    c.plan_for = profile_;
    c.build = [conv, spec](Graph& graph, ValueId x) {
      const Shape shape = {kBatch, conv.in_channels, conv.input.height, conv.input.width};
      const ValueId before = activation(graph, reshape(graph, x, shape, "0"), spec, "0");
      const Conv2dLayerOptions options = {.out = conv.out_channels, .convolution = conv.options};
      const ValueId hidden =
          activation(graph, conv2d_layer(graph, before, options, "1"), spec, "2");
      return max_pool2d(graph, hidden, kTile, "3");
    };
    c.rewrite = [profile = profile_](Graph& graph) { fuse(graph, {}, &profile); };
    return c;
  }

  std::vector<ConvCase> all_cases() {
    std::vector<ConvCase> all = fixed_cases();
    const std::vector<ConvCase> more = random_cases(profile_, 12);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  void expect_pooled(const OpCase& c, std::size_t convolutions) {
    const OpGraph ops(c);
    EXPECT_EQ(count(ops.graph, "max_pool2d") + count(ops.graph, "max_pool2d_backward"), 0u);
    std::size_t pooling = 0;
    for (const auto& operation : ops.graph.operations()) {
      const auto* conv = dynamic_cast<const Conv2d*>(operation.get());
      pooling += conv && conv->epilogue().winners != kNoValue;
    }
    EXPECT_EQ(pooling, convolutions);
  }

  runtime::DeviceProfile profile_;
};

TEST_F(Conv2dPooledTest, MatchesReferenceToTheBit) {
  const Activation kinds[] = {Activation::relu, Activation::none, Activation::leaky_relu};
  std::uint64_t seed = 0;
  for (const ConvCase& conv : all_cases()) {
    SCOPED_TRACE(to_string(conv));
    ++seed;
    const OpCase c = with_integers(pooled_case(conv, {kinds[seed % 3], 0.5f}, seed));
    expect_pooled(c, 1);
    check(c);
    if (HasFailure()) break;
  }
}

// Winners of values that differ by a rounding may be others; what they give is compared.
TEST_F(Conv2dPooledTest, MatchesReferenceOfReals) {
  const std::vector<ConvCase> all = all_cases();
  std::uint64_t seed = 100;
  for (const Activation kind : {Activation::tanh, Activation::sigmoid, Activation::relu,
                                Activation::elu, Activation::none}) {
    ++seed;
    OpCase c = pooled_case(all[seed % all.size()], {kind}, seed);
    c.ignore = is_winners;
    check(c);
  }
}

TEST_F(Conv2dPooledTest, MixedPrecisionMatchesReference) {
  std::uint64_t seed = 200;
  for (const ConvCase& conv : fixed_cases()) {
    SCOPED_TRACE(to_string(conv));
    OpCase c = with_integers(pooled_case(conv, {Activation::relu}, ++seed));
    c.rewrite = [fused = c.rewrite](Graph& graph) {
      fused(graph);
      set_precision(graph, Precision::mixed);
    };
    check(c);
    if (HasFailure()) break;
  }
}

TEST_F(Conv2dPooledTest, Gradients) {
  std::uint64_t seed = 300;
  for (const ConvCase& conv : fixed_cases()) {
    SCOPED_TRACE(to_string(conv));
    check_gradients(pooled_case(conv, {Activation::tanh}, ++seed));
  }
}

// Two convolutions with a pooling each, then a linear layer: every derivative goes into a product.
OpCase network_of_two(const runtime::DeviceProfile& profile, bool fused) {
  OpCase c;
  c.batch = 5;
  c.columns = 12 * 12;
  c.replicas = 1;
  c.plan_for = profile;
  c.build = [](Graph& graph, ValueId x) {
    const Window2d same = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
    ValueId y = reshape(graph, x, {kBatch, 1, 12, 12}, "0");
    for (const std::int64_t out : {6, 9}) {
      const std::string name = std::to_string(out);
      y = conv2d_layer(graph, y, {.out = out, .convolution = {same, 1}}, name);
      y = activation(graph, y, {Activation::relu}, name + "a");
      y = max_pool2d(graph, y, kTile, name + "p");
    }
    return linear(graph, flatten(graph, y, "7"), {.out = 3}, "8");
  };
  FusionOptions options;
  options.max_pool2d = fused;
  c.rewrite = [options, profile](Graph& graph) { fuse(graph, options, &profile); };
  return c;
}

TEST_F(Conv2dPooledTest, DerivativesGoIntoTheProductsThatMakeThePooledGradients) {
  OpCase c = network_of_two(profile_, true);
  expect_pooled(c, 2);
  const OpGraph ops(c);
  EXPECT_EQ(count(ops.graph, "activation_backward"), 0u);
  std::size_t derivatives = 0;
  for (const auto& operation : ops.graph.operations()) {
    const auto* gemm = dynamic_cast<const Gemm*>(operation.get());
    const auto* data = dynamic_cast<const Conv2dDataGradient*>(operation.get());
    derivatives += gemm && gemm->epilogue().gradient_activation.kind == Activation::relu;
    derivatives += data && data->gradient_activation().kind == Activation::relu;
  }
  EXPECT_EQ(derivatives, 2u);
  check(with_integers(c));
  c.ignore = is_winners;
  check(c);
}

// The same sums in the same order: the same bits.
TEST_F(Conv2dPooledTest, EqualsTheUnfusedNetwork) {
  const OpGraph fused(network_of_two(profile_, true)), plain(network_of_two(profile_, false));
  EXPECT_EQ(count(plain.graph, "max_pool2d"), 2u);
  EXPECT_LT(fused.graph.operations().size(), plain.graph.operations().size());
  OpRun fused_run(device(), fused, 5, 1), plain_run(device(), plain, 5, 1);
  fused_run.run();
  plain_run.run();
  std::size_t gradients = 0;
  for (ValueId id = 0; id < plain.graph.value_count(); ++id) {
    const bool gradient = plain.graph.value(id).kind == ValueKind::gradient;
    if (id != plain.y && !gradient) continue;
    EXPECT_EQ(fused_run.floats(id, 0), plain_run.floats(id, 0)) << plain.graph.value(id).name;
    gradients += gradient;
  }
  EXPECT_GE(gradients, 6u);
}

// A convolution, an activation, a pooling, a linear layer and the loss, for rewrites alone.
struct Described {
  Activation activation = Activation::relu;
  Window2d pooling = kTile;
  Size2d input = {8, 8};
  bool shortcut = false;  // the activation's output is used by another layer, too
  bool keep = false;      // as an output of the graph
};

class PooledGraph {
 public:
  explicit PooledGraph(const Described& d) {
    const Window2d same = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
    const ValueId x =
        graph.add_external("x", {kBatch, 2, d.input.height, d.input.width}, DType::f32, false);
    const ValueId hidden =
        activation(graph, conv2d_layer(graph, x, {.out = 4, .convolution = {same, 1}}, "1"),
                   {d.activation}, "2");
    if (d.keep) graph.keep(hidden);
    ValueId y = max_pool2d(graph, hidden, d.pooling, "3");
    if (d.shortcut) y = add(graph, y, avg_pool2d(graph, hidden, d.pooling, true, "4"), "5");
    y = linear(graph, flatten(graph, y, "6"), {.out = 3}, "7");
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    differentiate(graph, softmax_cross_entropy(graph, y, labels).loss);
  }

  const MaxPool2dBackward& gradient() const {
    for (const auto& operation : graph.operations()) {
      const auto* found = dynamic_cast<const MaxPool2dBackward*>(operation.get());
      if (found) return *found;
    }
    throw std::logic_error("no max_pool2d_backward");
  }

  std::size_t poolings_after_fusion(const runtime::DeviceProfile* profile) {
    fuse(graph, {}, profile);
    return count(graph, "max_pool2d");
  }

  ParameterSet parameters;
  Graph graph{parameters};
};

TEST_F(Conv2dPooledTest, OnlyWhereNothingElseReadsTheOutput) {
  EXPECT_EQ(PooledGraph({}).poolings_after_fusion(&profile_), 0u);
  EXPECT_EQ(PooledGraph({.shortcut = true}).poolings_after_fusion(&profile_), 1u);
  EXPECT_EQ(PooledGraph({.keep = true}).poolings_after_fusion(&profile_), 1u);
  // Its derivative reads the convolution's output.
  EXPECT_EQ(PooledGraph({.activation = Activation::gelu}).poolings_after_fusion(&profile_), 1u);
}

TEST_F(Conv2dPooledTest, ValuesThatAreKeptSurvive) {
  PooledGraph winners({}), gradient({}), pooled_gradient({});
  winners.graph.keep(winners.gradient().winners());
  EXPECT_EQ(winners.poolings_after_fusion(&profile_), 1u);
  gradient.graph.keep(gradient.gradient().dx());
  EXPECT_EQ(gradient.poolings_after_fusion(&profile_), 1u);
  // The derivative may not go into the product that makes it.
  pooled_gradient.graph.keep(pooled_gradient.gradient().dy());
  EXPECT_EQ(pooled_gradient.poolings_after_fusion(&profile_), 0u);
  EXPECT_EQ(count(pooled_gradient.graph, "activation_backward"), 1u);
}

TEST_F(Conv2dPooledTest, WithoutTheOtherFusionsOfGradientsNothingIsMerged) {
  for (bool FusionOptions::*other :
       {&FusionOptions::bias_gradient, &FusionOptions::max_pool2d_gradient}) {
    FusionOptions options;
    options.*other = false;
    PooledGraph network({});
    fuse(network.graph, options, &profile_);
    EXPECT_EQ(count(network.graph, "max_pool2d"), 1u);
    EXPECT_EQ(count(network.graph, "max_pool2d_backward"), 1u);
  }
}

TEST_F(Conv2dPooledTest, IsNotDifferentiatedAfterTheFusion) {
  ParameterSet parameters;
  Graph graph{parameters};
  const ValueId x = graph.add_external("x", {kBatch, 1, 8, 8}, DType::f32, false);
  const Window2d same = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
  const ValueId hidden =
      conv2d_layer(graph, x, {.out = 4, .convolution = {same, 1}, .bias = false}, "1");
  const ValueId y = flatten(graph, max_pool2d(graph, hidden, kTile, "2"), "3");
  const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
  const ValueId loss = softmax_cross_entropy(graph, y, labels).loss;
  fuse(graph, {}, &profile_);
  EXPECT_EQ(count(graph, "max_pool2d"), 0u);
  EXPECT_THROW(differentiate(graph, loss), Error);
}

TEST_F(Conv2dPooledTest, OnlyByTilesThatTheKernelsKnow) {
  const Window2d overlapping{.kernel = {3, 3}, .stride = {2, 2}};
  EXPECT_EQ(PooledGraph({.pooling = overlapping}).poolings_after_fusion(&profile_), 1u);
  EXPECT_EQ(PooledGraph({.input = {8, 9}}).poolings_after_fusion(&profile_), 1u);
  // Rows that are cut.
  EXPECT_EQ(PooledGraph({.input = {8, 34}}).poolings_after_fusion(&profile_), 1u);
}

TEST_F(Conv2dPooledTest, OnlyOnDevicesWithSuchKernels) {
  EXPECT_EQ(PooledGraph({}).poolings_after_fusion(nullptr), 1u);
  runtime::DeviceProfile gpu = profile_;
  gpu.kind = runtime::DeviceKind::discrete;
  EXPECT_EQ(PooledGraph({}).poolings_after_fusion(&gpu), 1u);
}

}  // namespace
}  // namespace vktrain::testing
