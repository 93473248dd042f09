// Batch normalisation that pools its own output by tiles of 2 x 2: against the references, against
// the unfused graph, and which graphs get it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "nn/differentiate.h"
#include "nn/fusion.h"
#include "nn/lowering.h"
#include "nn/ops/activation.h"
#include "nn/ops/add.h"
#include "nn/ops/avg_pool2d.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/max_pool2d.h"
#include "nn/ops/reshape.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "tests/nn/ops/image_case.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr Window2d kTile{.kernel = {2, 2}, .stride = {2, 2}};

// The networks' own, planes of tiles that are no whole vec4, one tile a plane, one image.
const std::vector<ImageShape> kImages = {{5, 4, 28, 28}, {3, 8, 14, 14}, {17, 2, 4, 4},
                                         {65, 4, 2, 2},  {2, 6, 4, 6},   {3, 4, 6, 10},
                                         {1, 8, 10, 2},  {33, 3, 8, 12}, {66, 16, 2, 6}};

std::size_t count(const Graph& graph, std::string_view kind) {
  return static_cast<std::size_t>(std::ranges::count_if(
      graph.operations(), [&](const auto& operation) { return operation->kind() == kind; }));
}

struct Settings {
  bool training = true;
  ActivationSpec activation = {};
  bool fused = true;
};

class BatchNormPooledTest : public OpTest {
 protected:
  // Whole numbers: values of a tile are equal or differ by more than a rounding, so that the device
  // and the reference agree which is the largest.
  static OpCase make_case(const ImageShape& image, std::uint64_t seed, const Settings& s) {
    OpCase c = image_case(image, seed, [s](Graph& graph, ValueId x) {
      const ValueId y = s.training ? batch_norm_train(graph, x, BatchNormOptions{}, "op")
                                   : batch_norm_eval(graph, x, BatchNormOptions{}, "op");
      return max_pool2d(graph, activation(graph, y, s.activation, "behind"), kTile, "pool");
    });
    FusionOptions options;
    options.max_pool2d = s.fused;
    c.rewrite = [options](Graph& graph) { fuse(graph, options); };
    c.fill = [](const Value& value, std::size_t size, std::uint32_t,
                PhiloxRng& rng) -> std::optional<std::vector<std::uint32_t>> {
      std::vector<float> values(size);
      if (value.name == "input" || value.name == "pre.bias") {
        for (float& v : values) v = static_cast<float>(rng.below(9)) - 4;
      } else if (value.name == "op.running_var") {
        for (float& v : values) v = static_cast<float>(rng.uniform(0.5, 2));
      } else {
        return std::nullopt;
      }
      return words_of(values);
    };
    return c;
  }

  static void expect_pooled(const OpCase& c) {
    const OpGraph ops(c);
    EXPECT_EQ(count(ops.graph, "max_pool2d") + count(ops.graph, "max_pool2d_backward"), 0u);
    EXPECT_EQ(count(ops.graph, "activation_forward"), 0u);
  }
};

TEST_F(BatchNormPooledTest, MatchesReference) {
  std::uint64_t seed = 0;
  for (const bool training : {true, false}) {
    for (const ImageShape& image : kImages) {
      SCOPED_TRACE(fmt::format("{} images of {} x {} x {}", image.batch, image.channels,
                               image.height, image.width));
      const OpCase c = make_case(image, ++seed, {.training = training});
      expect_pooled(c);
      check_both(c);
    }
  }
}

TEST_F(BatchNormPooledTest, MatchesReferenceWithActivations) {
  const std::vector<ActivationSpec> activations = {{Activation::relu},
                                                   {Activation::tanh},
                                                   {Activation::sigmoid},
                                                   {Activation::elu, 0.5f},
                                                   {Activation::leaky_relu, 0.25f}};
  std::uint64_t seed = 100;
  for (const ActivationSpec& activation : activations) {
    for (const bool training : {true, false}) {
      ++seed;
      const OpCase c = make_case(kImages[seed % kImages.size()], seed,
                                 {.training = training, .activation = activation});
      expect_pooled(c);
      check_both(c);
    }
  }
}

TEST_F(BatchNormPooledTest, Gradients) {
  std::uint64_t seed = 200;
  for (const bool training : {true, false}) {
    for (const std::size_t index : {2u, 4u, 6u}) {
      OpCase c = make_case(kImages[index], ++seed,
                           {.training = training, .activation = {Activation::tanh}});
      // No ties, where there is no derivative.
      c.fill = [whole = c.fill](const Value& value, std::size_t size, std::uint32_t replica,
                                PhiloxRng& draws) {
        const bool variance = value.name == "op.running_var";
        return variance ? whole(value, size, replica, draws) : std::nullopt;
      };
      check_gradients(c);
    }
  }
}

TEST_F(BatchNormPooledTest, EqualsTheUnfusedGraph) {
  const ImageShape image = {9, 4, 14, 14};
  const OpGraph fused(make_case(image, 3, {.activation = {Activation::relu}}));
  const OpGraph plain(make_case(image, 3, {.activation = {Activation::relu}, .fused = false}));
  EXPECT_EQ(count(plain.graph, "max_pool2d"), 1u);
  OpRun fused_run(device(), fused, image.batch, 1), plain_run(device(), plain, image.batch, 1);
  fused_run.run();
  plain_run.run();
  EXPECT_EQ(fused_run.floats(fused.y, 0), plain_run.floats(plain.y, 0));
  std::size_t gradients = 0;
  for (ValueId id = 0; id < plain.graph.value_count(); ++id) {
    if (plain.graph.value(id).kind != ValueKind::gradient) continue;
    const std::vector<float> a = fused_run.floats(id, 0), b = plain_run.floats(id, 0);
    float scale = 0;
    for (const float value : b) scale = std::max(scale, std::abs(value));
    for (std::size_t i = 0; i < b.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5f * scale) << i;
    ++gradients;
  }
  EXPECT_EQ(gradients, 3u);
}

// Batch normalisation -> activation -> max pooling, for rewrites alone.
std::size_t poolings_after_fusion(const ActivationSpec& spec, Size2d plane, std::int64_t channels,
                                  bool shortcut = false) {
  ParameterSet parameters;
  Graph graph{parameters};
  const ValueId x =
      graph.add_external("x", {kBatch, channels, plane.height, plane.width}, DType::f32, false);
  const ValueId y =
      activation(graph, batch_norm_eval(graph, x, BatchNormOptions{}, "1"), spec, "2");
  ValueId pooled = max_pool2d(graph, y, kTile, "3");
  if (shortcut) pooled = add(graph, pooled, avg_pool2d(graph, y, kTile, true, "4"), "5");
  const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
  differentiate(graph, softmax_cross_entropy(graph, flatten(graph, pooled, "6"), labels).loss);
  fuse(graph);
  const std::size_t backward = count(graph, "max_pool2d_backward");
  EXPECT_EQ(count(graph, "max_pool2d"), backward);
  return backward;
}

TEST(BatchNormPooled, OnlyWhatTheKernelsKnow) {
  EXPECT_EQ(poolings_after_fusion({Activation::relu}, {8, 8}, 4), 0u);
  // The largest value is not that of the largest input.
  EXPECT_EQ(poolings_after_fusion({Activation::gelu}, {8, 8}, 4), 1u);
  EXPECT_EQ(poolings_after_fusion({Activation::silu}, {8, 8}, 4), 1u);
  // Rows of 3 x 3 x 3 have padding.
  EXPECT_EQ(poolings_after_fusion({Activation::relu}, {6, 6}, 3), 1u);
  EXPECT_EQ(poolings_after_fusion({Activation::relu}, {7, 8}, 4), 1u);
  EXPECT_EQ(poolings_after_fusion({Activation::relu}, {8, 8}, 4, /*shortcut=*/true), 1u);
}

}  // namespace
}  // namespace vktrain::testing
