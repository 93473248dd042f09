// Convolutions by every family of kernels, in the middle of a network: all three passes over random
// windows and groups, with the epilogues that fusions switch on.
#include "nn/ops/conv2d.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "nn/fusion.h"
#include "nn/layers/conv2d.h"
#include "nn/ops/conv2d_variants.h"
#include "nn/ops/gemm.h"
#include "nn/ops/reshape.h"
#include "runtime/error.h"
#include "tests/nn/ops/conv2d_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

enum class Family { rows, tiled, depthwise };

bool fits(const ConvCase& c) {
  const Window2d& w = c.options.window;
  const auto room = [](std::int64_t input, std::int64_t begin, std::int64_t end,
                       std::int64_t dilation, std::int64_t kernel) {
    return input + begin + end > dilation * (kernel - 1);
  };
  return room(c.input.height, w.padding_begin.height, w.padding_end.height, w.dilation.height,
              w.kernel.height) &&
         room(c.input.width, w.padding_begin.width, w.padding_end.width, w.dilation.width,
              w.kernel.width);
}

ConvCase draw_case(Family family, PhiloxRng& rng) {
  const auto between = [&rng](std::int64_t low, std::int64_t high) {
    return low + rng.below(static_cast<std::uint32_t>(high - low + 1));
  };
  const auto size = [&](std::int64_t low, std::int64_t high) {
    return Size2d{between(low, high), between(low, high)};
  };
  ConvCase c;
  c.batch = between(1, 17);
  c.input = size(1, 20);
  c.options.window = {.kernel = size(1, 5),
                      .stride = size(1, 3),
                      .padding_begin = size(0, 2),
                      .padding_end = size(0, 2),
                      .dilation = size(1, 3)};
  if (family == Family::depthwise) {
    c.options.groups = between(2, 12);
    c.in_channels = c.options.groups;
    c.out_channels = c.options.groups * between(1, 3);
    return c;
  }
  c.options.groups = between(1, 4);
  if (c.options.groups == 4) c.options.groups = 1;
  const std::int64_t most = 20 / c.options.groups;
  c.in_channels = c.options.groups * between(1, most);
  c.out_channels = c.options.groups * between(1, most);
  return c;
}

// Ordinary networks' windows first, then others.
std::vector<ConvCase> cases(Family family, std::size_t count, std::uint64_t seed) {
  const Size2d one = {1, 1}, none = {0, 0};
  const std::int64_t groups = family == Family::depthwise ? 8 : 1;
  std::vector<ConvCase> all = {
      {5, 8, {12, 12}, 16, {{{3, 3}, one, one, one, one}, groups}},
      {3, 8, {7, 7}, 8, {{{3, 3}, {2, 2}, one, one, one}, groups}},
      {2, 8, {9, 14}, 8, {{{5, 5}, one, none, none, one}, groups}},
      {4, 8, {6, 5}, 40, {{one, one, none, none, one}, groups}},
      {2, 8, {1, 1}, 8, {{{3, 3}, one, one, one, one}, groups}},
      {2, 8, {20, 3}, 8, {{{1, 7}, {1, 4}, {0, 6}, {3, 2}, one}, groups}},
  };
  PhiloxRng rng(seed);
  while (all.size() < count) {
    const ConvCase c = draw_case(family, rng);
    if (fits(c)) all.push_back(c);
  }
  return all;
}

// Rows that the rows kernels cut into tiles, and kernels that they cut into rows.
std::vector<ConvCase> cut_cases(Family family) {
  const Size2d one = {1, 1}, none = {0, 0};
  const std::int64_t groups = family == Family::depthwise ? 8 : 1;
  return {
      {3, 8, {3, 40}, 8, {{{3, 3}, one, one, one, one}, groups}},
      {9, 8, {2, 33}, 8, {{{2, 5}, {1, 2}, {0, 3}, {0, 1}, {1, 3}}, groups}},
      {3, 8, {2, 70}, 8, {{{1, 8}, {1, 3}, none, one, {1, 9}}, groups}},
      {2, 8, {2, 28}, 8, {{{3, 3}, one, {6, 7}, {6, 7}, one}, groups}},
      {2, 8, {2, 9}, 8, {{{1, 3}, one, {0, 40}, {0, 40}, one}, groups}},
      {2, 8, {8, 9}, 8, {{{7, 7}, one, {3, 3}, {3, 3}, one}, groups}},
      // Kernel rows that two or four a turn do not divide, and output channels that blocks of four
      // do not.
      {2, family == Family::depthwise ? 8 : 5, {6, 14}, 8, {{{3, 3}, one, one, one, one}, groups}},
      {2, family == Family::depthwise ? 8 : 1, {6, 6}, 40, {{{3, 3}, one, one, one, one}, groups}},
  };
}

// Strides, by which the data gradient's rows fall into phases: of one row of the kernel more than
// others, of none, and without phases, because the kernel is dilated.
std::vector<ConvCase> strided_cases(Family family) {
  const Size2d one = {1, 1}, two = {2, 2}, three = {3, 3}, none = {0, 0};
  const std::int64_t groups = family == Family::depthwise ? 8 : 1;
  return {
      {3, 8, {8, 9}, 8, {{one, two, none, none, one}, groups}},
      {3, 8, {9, 7}, 8, {{two, three, none, none, one}, groups}},
      {3, 8, {9, 12}, 16, {{three, two, one, none, one}, groups}},
      {2, 8, {11, 10}, 8, {{{5, 5}, three, two, two, one}, groups}},
      {2, 8, {10, 11}, 8, {{three, two, two, one, two}, groups}},
  };
}

std::set<std::string> shaders(const Plan& plan) {
  std::set<std::string> names;
  for (const PlannedOperation& operation : plan.operations()) {
    for (const PlannedDispatch& dispatch : operation.dispatches) names.insert(dispatch.shader);
  }
  return names;
}

std::vector<double> result(const OpRun& run, ValueId id) {
  const std::vector<float> values = run.floats(id, 0);
  return {values.begin(), values.end()};
}

class Conv2dTest : public OpTest, public ::testing::WithParamInterface<Family> {
 protected:
  void SetUp() override {
    OpTest::SetUp();
    const Conv2dSizes least;
    if (GetParam() == Family::rows && !conv2d_rows::supports(least, profile())) {
      GTEST_SKIP() << "this device cannot run the rows kernels";
    }
  }

  OpCase make_case(const ConvCase& conv, const ActivationSpec& spec, std::uint64_t seed) {
    OpCase c = network(conv, spec, seed);
    c.plan_for = profile();
    return c;
  }

  // The output and the gradients of the parameters, within the rounding of sums in another order.
  void expect_equal_results(const OpGraph& a, const OpGraph& b, std::int64_t batch) {
    OpRun run_a(device(), a, batch, 1), run_b(device(), b, batch, 1);
    run_a.run();
    run_b.run();
    for (ValueId id = 0; id < a.graph.value_count(); ++id) {
      if (id != a.y && a.graph.value(id).kind != ValueKind::gradient) continue;
      const std::vector<double> x = result(run_a, id), y = result(run_b, id);
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(x[i], y[i], 1e-5 * largest(x)) << a.graph.value(id).name << " " << i;
      }
    }
  }

  // A device for which the family is chosen.
  runtime::DeviceProfile profile() {
    runtime::DeviceProfile own = device().profile();
    own.kind =
        GetParam() == Family::rows ? runtime::DeviceKind::cpu : runtime::DeviceKind::discrete;
    return own;
  }
};

// Every second case with epilogues.
TEST_P(Conv2dTest, AllPassesMatchReference) {
  const Activation kinds[] = {Activation::none, Activation::relu,    Activation::none,
                              Activation::tanh, Activation::none,    Activation::elu,
                              Activation::none, Activation::sigmoid, Activation::none};
  std::uint64_t seed = 0;
  std::vector<ConvCase> all = cases(GetParam(), 20, 11);
  const std::vector<ConvCase> cut = cut_cases(GetParam());
  all.insert(all.end(), cut.begin(), cut.end());
  for (const ConvCase& conv : all) {
    const Activation kind = kinds[++seed % std::size(kinds)];
    SCOPED_TRACE(to_string(conv));
    check(make_case(conv, {kind, kind == Activation::elu ? 1.5f : 1.0f}, seed));
    if (HasFailure()) break;
  }
}

TEST_P(Conv2dTest, StridesMatchReference) {
  std::uint64_t seed = 600;
  for (const ConvCase& conv : strided_cases(GetParam())) {
    SCOPED_TRACE(to_string(conv));
    OpCase c = make_case(conv, {Activation::relu}, ++seed);
    check(c);
    // Workgroups in rows of which the last is not full.
    c.plan_for->max_workgroup_count[0] = 5;
    check(c);
    if (HasFailure()) break;
  }
}

// The reference rounds the operands, too, except of depthwise convolutions.
TEST_P(Conv2dTest, MixedPrecisionMatchesReference) {
  std::uint64_t seed = 400;
  std::vector<ConvCase> all = cases(GetParam(), 9, 13);
  const std::vector<ConvCase> cut = cut_cases(GetParam());
  all.insert(all.end(), cut.begin(), cut.begin() + 3);
  for (const ConvCase& conv : all) {
    SCOPED_TRACE(to_string(conv));
    const Activation kind = ++seed % 2 == 0 ? Activation::none : Activation::tanh;
    OpCase c = make_case(conv, {kind}, seed);
    c.rewrite = [epilogues = c.rewrite](Graph& graph) {
      if (epilogues) epilogues(graph);
      set_precision(graph, Precision::mixed);
    };
    check(c);
    if (HasFailure()) break;
  }
}

// convolution + bias -> tanh -> convolution + bias, with every fusion.
TEST_P(Conv2dTest, FusedNetworkEqualsUnfused) {
  const ConvCase conv = cases(GetParam(), 1, 0)[0];
  OpCase c = make_case(conv, {}, 3);
  c.build = [conv](Graph& graph, ValueId x) {
    const Shape shape = {kBatch, conv.in_channels, conv.input.height, conv.input.width};
    const Conv2dLayerOptions first = {.out = conv.in_channels, .convolution = conv.options};
    const Conv2dLayerOptions second = {.out = conv.out_channels, .convolution = conv.options};
    const ValueId hidden = conv2d_layer(graph, reshape(graph, x, shape, "0"), first, "1");
    return conv2d_layer(graph, activation(graph, hidden, {Activation::tanh}, "2"), second, "3");
  };
  const OpGraph plain(c);
  c.rewrite = [](Graph& graph) { fuse(graph); };
  check(c);
  const OpGraph fused(c);
  std::size_t bias_adds = 0;
  for (const auto& operation : fused.graph.operations()) {
    EXPECT_FALSE(operation->kind().starts_with("activation")) << operation->kind();
    EXPECT_NE(operation->kind(), "channel_sum");
    bias_adds += operation->kind() == "bias_add";
  }
  EXPECT_EQ(bias_adds, 1u);  // the one of the test's own graph
  expect_equal_results(plain, fused, c.batch);
}

// The sum over the batch in several parts.
TEST_P(Conv2dTest, SplitWeightGradientsMatchReference) {
  ConvCase conv = cases(GetParam(), 1, 0)[0];
  conv.batch = 70;
  const OpCase c = make_case(conv, {Activation::relu}, 2);
  check(c);
  const OpGraph ops(c);
  OpRun run(device(), ops, c.batch, 1);
  EXPECT_TRUE(shaders(run.plan()).contains("gemm_reduce"));
}

TEST_P(Conv2dTest, RunsTheKernelsItIsMeantToTest) {
  const std::pair<Family, std::string> families[] = {{Family::rows, "conv2d_rows"},
                                                     {Family::tiled, "conv2d_tiled"},
                                                     {Family::depthwise, "conv2d_depthwise"}};
  for (const ConvCase& conv : cases(GetParam(), 12, 13)) {
    const OpGraph ops(make_case(conv, {}, 0));
    OpRun run(device(), ops, conv.batch, 1);
    const std::set<std::string> names = shaders(run.plan());
    for (const auto& [family, shader] : families) {
      EXPECT_EQ(names.contains(shader), GetParam() == family) << to_string(conv);
      EXPECT_EQ(names.contains(shader + "_weight_gradient"), GetParam() == family);
    }
  }
}

TEST_P(Conv2dTest, PaddingOfResultsIsZero) {
  std::size_t padded = 0;
  const std::vector<ConvCase> all = cases(GetParam(), 10, 14);
  for (const std::size_t index : {1u, 6u, 7u, 8u, 9u}) {
    const ConvCase& conv = all[index];
    const OpGraph ops(make_case(conv, {Activation::sigmoid}, 1));
    OpRun run(device(), ops, conv.batch, 1);
    run.run();
    for (const auto& operation : ops.graph.operations()) {
      if (!operation->kind().starts_with("conv2d")) continue;
      for (const ValueId id : operation->outputs()) {
        for (const std::uint32_t word : run.padding(id, 0)) {
          EXPECT_EQ(std::bit_cast<float>(word), 0.0f) << ops.graph.value(id).name;
          ++padded;
        }
      }
    }
  }
  EXPECT_GT(padded, 0u);
}

TEST_P(Conv2dTest, Gradients) {
  for (const std::size_t index : {0u, 1u, 5u, 7u}) {
    ConvCase conv = cases(GetParam(), 8, 15)[index];
    conv.batch = 2;
    OpCase c = make_case(conv, {}, 1);
    SCOPED_TRACE(to_string(conv));
    check_gradients(c);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Conv2dTest,
                         ::testing::Values(Family::rows, Family::tiled, Family::depthwise),
                         [](const auto& instance) {
                           return instance.param == Family::rows    ? "Rows"
                                  : instance.param == Family::tiled ? "Tiled"
                                                                    : "Depthwise";
                         });

class Conv2dWholeInput : public OpTest {};

TEST_F(Conv2dWholeInput, IsAMatrixProduct) {
  const ConvCase conv = {5, 3, {4, 6}, 7, {{.kernel = {4, 6}}, 1}};
  const OpCase c = network(conv, {}, 1);
  check(c);
  const OpGraph ops(c);
  std::size_t products = 0;
  for (const auto& operation : ops.graph.operations()) {
    EXPECT_FALSE(operation->kind().starts_with("conv2d"));
    products += operation->kind() == "gemm";
  }
  EXPECT_EQ(products, 3u);
  EXPECT_EQ(ops.graph.value(ops.y).shape, (Shape{kBatch, 7, 1, 1}));
}

// Padding, groups or a smaller window: no matrix product.
TEST_F(Conv2dWholeInput, OnlyWithoutPaddingAndGroups) {
  const ConvCase others[] = {
      {2, 4, {4, 6}, 8, {{.kernel = {4, 6}, .padding_end = {0, 1}}, 1}},
      {2, 4, {4, 6}, 8, {{.kernel = {4, 6}}, 2}},
      {2, 4, {4, 6}, 8, {{.kernel = {4, 5}}, 1}},
  };
  for (const ConvCase& conv : others) {
    const OpCase c = network(conv, {}, 1);
    check(c);
    const OpGraph ops(c);
    for (const auto& operation : ops.graph.operations()) {
      EXPECT_NE(operation->kind(), "gemm") << to_string(conv);
    }
  }
}

}  // namespace
}  // namespace vktrain::testing
