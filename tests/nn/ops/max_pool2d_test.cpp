// Max pooling: random windows, the tiles of 2 x 2, ties, the derivative of an activation in the
// gradient.
#include "nn/ops/max_pool2d.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "nn/fusion.h"
#include "nn/lowering.h"
#include "nn/ops/activation.h"
#include "tests/nn/ops/pool2d_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

ValueId pooling(Graph& graph, ValueId images, const Window2d& window) {
  return max_pool2d(graph, images, window, "op");
}

Pooling pooling_after(const ActivationSpec& spec) {
  return [spec](Graph& graph, ValueId images, const Window2d& window) {
    return pooling(graph, activation(graph, images, spec, "before"), window);
  };
}

constexpr Window2d kTile{.kernel = {2, 2}, .stride = {2, 2}};

// Tiles that cover the whole input, with planes of every remainder, and those that do not.
std::vector<Pool2dCase> tile_cases() {
  return {{3, 2, {4, 4}, kTile}, {33, 3, {2, 8}, kTile}, {2, 2, {14, 14}, kTile},
          {5, 1, {2, 2}, kTile}, {2, 1, {6, 2}, kTile},  {65, 4, {4, 2}, kTile},
          {2, 3, {5, 8}, kTile}, {3, 4, {8, 7}, kTile},  {2, 8, {28, 28}, kTile}};
}

// The derivatives are those of the output.
const std::vector<ActivationSpec> kActivations = {{Activation::relu},
                                                  {Activation::leaky_relu, 0.25f},
                                                  {Activation::tanh},
                                                  {Activation::sigmoid},
                                                  {Activation::elu, 0.5f}};

template <class T>
const T* only(const Graph& graph) {
  const T* found = nullptr;
  for (const auto& operation : graph.operations()) {
    const auto* candidate = dynamic_cast<const T*>(operation.get());
    if (!candidate) continue;
    EXPECT_EQ(found, nullptr) << "two of " << operation->kind();
    found = candidate;
  }
  return found;
}

class MaxPool2dTest : public OpTest {
 protected:
  static OpCase make_case(const Pool2dCase& p, std::uint64_t seed) {
    return pooling_case(p, seed, pooling);
  }

  // With the derivative of an activation before the pooling in the pooling's gradient.
  static OpCase make_fused_case(const Pool2dCase& p, std::uint64_t seed,
                                const ActivationSpec& spec) {
    OpCase c = pooling_case(p, seed, pooling_after(spec));
    FusionOptions options = FusionOptions::none();
    options.max_pool2d_gradient = true;
    c.rewrite = [options](Graph& graph) { fuse(graph, options); };
    return c;
  }

  // Tiles, then windows of all kinds, each with the next activation.
  static std::vector<OpCase> fused_cases(std::uint64_t seed) {
    PhiloxRng rng(seed);
    std::vector<Pool2dCase> poolings = tile_cases();
    for (int i = 0; i < 16; ++i) poolings.push_back(random_pool2d_case(rng, 3));
    std::vector<OpCase> all;
    for (const Pool2dCase& p : poolings) {
      ++seed;
      all.push_back(make_fused_case(p, seed, kActivations[seed % kActivations.size()]));
    }
    return all;
  }

  // y, winners and dx of one image of one channel, dy given.
  struct Result {
    std::vector<float> y;
    std::vector<std::uint32_t> winners;
    std::vector<float> dx;
  };
  Result run_one(const Pool2dCase& p, const std::vector<float>& x, const std::vector<float>& dy) {
    OpCase c = make_case(p, 1);
    c.replicas = 1;
    c.fill = [&](const Value& value, std::size_t count, std::uint32_t,
                 PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
      if (value.name == "input") return words_of(x);
      if (value.name == "dz") return words_of(dy);
      return words_of(std::vector<float>(count, 0.0f));
    };
    const OpGraph ops(c);
    OpRun run(device(), ops, 1, 1);
    run.run();
    const auto* backward = only<MaxPool2dBackward>(ops.graph);
    return {run.floats(ops.y, 0), run.words(backward->winners(), 0), run.floats(backward->dx(), 0)};
  }
};

TEST_F(MaxPool2dTest, MatchesReference) {
  PhiloxRng rng(7);
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    const Pool2dCase p = random_pool2d_case(rng, 3);
    SCOPED_TRACE(to_string(p));
    check(make_case(p, seed));
  }
}

TEST_F(MaxPool2dTest, MatchesReferenceOnTiles) {
  std::uint64_t seed = 100;
  for (const Pool2dCase& p : tile_cases()) {
    SCOPED_TRACE(to_string(p));
    check_both(make_case(p, ++seed));
  }
}

TEST_F(MaxPool2dTest, TilesAreReadAsTexelsWhereThatIsFaster) {
  runtime::DeviceProfile profile = device().profile();
  for (const auto kind : {runtime::DeviceKind::cpu, runtime::DeviceKind::discrete}) {
    profile.kind = kind;
    OpCase c = make_case(tile_cases().front(), 1);
    c.plan_for = profile;
    const OpGraph ops(c);
    const OpRun run(device(), ops, c.batch, 1);
    std::set<std::string> shaders;
    for (const PlannedOperation& operation : run.plan().operations()) {
      for (const PlannedDispatch& dispatch : operation.dispatches) shaders.insert(dispatch.shader);
    }
    const std::string end = reads_texels(profile) ? "_texels" : "";
    EXPECT_TRUE(shaders.contains("max_pool2d_tiles_forward" + end));
    EXPECT_TRUE(shaders.contains("max_pool2d_tiles_backward" + end));
  }
}

TEST_F(MaxPool2dTest, MatchesReferenceWithOneWindowOverAll) {
  check(make_case({7, 3, {9, 11}, {.kernel = {9, 11}}}, 1));
}

// Most inputs are equal, so that most windows have ties.
TEST_F(MaxPool2dTest, MatchesReferenceWithTies) {
  PhiloxRng rng(11);
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Pool2dCase p = random_pool2d_case(rng, 2);
    if (seed >= 4) p = {9, 4, {6, 8}, kTile};
    SCOPED_TRACE(to_string(p));
    check_both(pooling_case(p, seed, pooling_after({Activation::relu})));
  }
}

TEST_F(MaxPool2dTest, Gradients) {
  PhiloxRng rng(13);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Pool2dCase p = random_pool2d_case(rng, 2);
    p.batch = 3;
    SCOPED_TRACE(to_string(p));
    check_gradients(make_case(p, seed));
  }
}

TEST_F(MaxPool2dTest, DerivativesOfActivationsMatchReference) {
  for (const OpCase& c : fused_cases(17)) {
    SCOPED_TRACE(c.seed);
    check_both(c);
    if (HasFailure()) break;
  }
}

TEST_F(MaxPool2dTest, GradientsWithDerivativesOfActivations) {
  PhiloxRng rng(19);
  for (std::uint64_t seed = 0; seed < 2 * kActivations.size(); ++seed) {
    Pool2dCase p = random_pool2d_case(rng, 2);
    if (seed % 2) p = {3, 2, {4, 6}, kTile};
    p.batch = 3;
    SCOPED_TRACE(to_string(p));
    check_gradients(make_fused_case(p, seed, kActivations[seed / 2]));
  }
}

// With a dispatch of its own the derivative is multiplied by the same sums.
TEST_F(MaxPool2dTest, FusedDerivativesEqualUnfused) {
  for (OpCase c : fused_cases(23)) {
    SCOPED_TRACE(c.seed);
    c.replicas = 1;
    const OpGraph fused(c);
    c.rewrite = nullptr;
    const OpGraph plain(c);
    ASSERT_EQ(fused.graph.operations().size() + 1, plain.graph.operations().size());
    const auto* pooling = only<MaxPool2d>(fused.graph);
    const auto* gradient = only<MaxPool2dBackward>(fused.graph);
    EXPECT_EQ(gradient->gradient_output(), pooling->derivative_operand());
    OpRun fused_run(device(), fused, c.batch, 1), plain_run(device(), plain, c.batch, 1);
    fused_run.run();
    plain_run.run();
    const std::vector<float> a = fused_run.floats(gradient->dx(), 0);
    const std::vector<float> b = plain_run.floats(gradient->dx(), 0);
    float scale = 0;
    for (const float value : b) scale = std::max(scale, std::abs(value));
    for (std::size_t i = 0; i < b.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6f * scale) << i;
  }
}

TEST_F(MaxPool2dTest, TiesGoToTheFirst) {
  const std::vector<float> x = {0, 5, 5,  0,  //
                                5, 0, 0,  5,  //
                                1, 1, -1, -1, 1, 1, -1, -1};
  const Result tiles = run_one({1, 1, {4, 4}, kTile}, x, {1, 2, 3, 4});
  EXPECT_EQ(tiles.y, (std::vector<float>{5, 5, 1, -1}));
  EXPECT_EQ(tiles.winners, (std::vector<std::uint32_t>{1, 2, 8, 10}));
  EXPECT_EQ(tiles.dx, (std::vector<float>{0, 1, 2, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0}));
  const Result overlapping = run_one({1, 1, {4, 4}, {.kernel = {3, 3}}}, x, {1, 2, 3, 4});
  EXPECT_EQ(overlapping.y, (std::vector<float>{5, 5, 5, 5}));
  EXPECT_EQ(overlapping.winners, (std::vector<std::uint32_t>{1, 1, 4, 7}));
  EXPECT_EQ(overlapping.dx, (std::vector<float>{0, 3, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0}));
}

// Padding is not a zero that would win over negative numbers.
TEST_F(MaxPool2dTest, PaddingNeverWins) {
  const Window2d window{
      .kernel = {2, 2}, .stride = {2, 2}, .padding_begin = {1, 1}, .padding_end = {1, 1}};
  const Result result = run_one({1, 1, {2, 2}, window}, {-4, -3, -2, -1}, {1, 2, 3, 4});
  EXPECT_EQ(result.y, (std::vector<float>{-4, -3, -2, -1}));
  EXPECT_EQ(result.dx, (std::vector<float>{1, 2, 3, 4}));
}

TEST(MaxPool2dShape, RefusesWhatDoesNotFit) {
  EXPECT_EQ(pooling_error({kBatch, 100}, {.kernel = {2, 2}}, pooling),
            "[max_pool2d] op: expected an input of shape [batch, channels, height, width], found "
            "[batch, 100]; pooling goes before the layer that flattens");
  EXPECT_EQ(pooling_error({kBatch, 3, 4, 5}, {.kernel = {5, 2}}, pooling),
            "[max_pool2d] op: the window of 5 x 2 (kernel 5 x 2, dilation 1 x 1) is larger than "
            "its padded input of 4 x 5; expected a window that fits: make the kernel smaller or "
            "pad more");
  EXPECT_EQ(
      pooling_error({kBatch, 3, 4, 5}, {.kernel = {2, 2}, .padding_begin = {0, -1}}, pooling),
      "[max_pool2d] op: padding must not be negative, but it is 0 x -1 before and 0 x 0 after the "
      "input");
}

TEST(MaxPool2dShape, RefusesWindowsInThePaddingAlone) {
  EXPECT_EQ(
      pooling_error({kBatch, 3, 4, 5},
                    {.kernel = {2, 2}, .padding_begin = {0, 2}, .padding_end = {1, 0}}, pooling),
      "[max_pool2d] op: with padding of 0 x 2 and 1 x 0 around an input of 4 x 5, a window "
      "(kernel 2 x 2, dilation 1 x 1) would see nothing but padding; pad less than the "
      "kernel's size");
  const std::string at_the_end =
      pooling_error({kBatch, 3, 4, 5}, {.kernel = {2, 2}, .padding_end = {2, 0}}, pooling);
  EXPECT_NE(at_the_end.find("would see nothing but padding"), std::string::npos) << at_the_end;
  // The stride skips the window that would begin at row 4.
  EXPECT_EQ(pooling_error({kBatch, 3, 4, 5},
                          {.kernel = {2, 2}, .stride = {3, 1}, .padding_end = {2, 0}}, pooling),
            "");
  // Its two rows stand around the only row of the input.
  const std::string astride = pooling_error(
      {kBatch, 3, 1, 5},
      {.kernel = {2, 2}, .padding_begin = {1, 0}, .padding_end = {1, 0}, .dilation = {2, 1}},
      pooling);
  EXPECT_NE(astride.find("would see nothing but padding"), std::string::npos) << astride;
}

}  // namespace
}  // namespace vktrain::testing
