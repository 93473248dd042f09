// Products that read a batch's images in the data set, and those that cannot: against the
// double-precision reference.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "nn/ops/gemm.h"
#include "tests/nn/ops/gathered_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

using Names = std::vector<std::string>;

const Shape kShapes[] = {{3, 5, 7}, {1, 3, 3}, {1, 28, 28}, {1, 1, 1}, {2, 3, 11}, {1, 8, 8}};
constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::tanh,
                                       Activation::sigmoid, Activation::elu};

GatheredCase random_case(PhiloxRng& rng, std::int64_t most_images, std::int64_t most_outputs) {
  GatheredCase c;
  c.image = kShapes[rng.below(std::size(kShapes))];
  c.batch = 1 + rng.below(static_cast<std::uint32_t>(most_images));
  c.out = 1 + rng.below(static_cast<std::uint32_t>(most_outputs));
  c.batch_stride = c.batch + rng.below(9);
  c.step_in_epoch = rng.below(4);
  c.replicas = 1 + rng.below(3);
  c.seed = rng.next_u32();
  c.normalization = {.mean = rng.uniform() - 0.5, .std = 0.1 + rng.uniform()};
  c.activation = {kActivations[rng.below(std::size(kActivations))], 0.5f};
  c.bias = rng.below(4) > 0;
  return c;
}

bool has(const Names& names, const char* name) { return std::ranges::count(names, name) > 0; }

class GemmGatheredTileTest : public GatheredTest,
                             public ::testing::WithParamInterface<const char*> {
 protected:
  Names check_tile(GatheredCase c) {
    c.kernel = GetParam();
    Names kernels = check(c);
    EXPECT_EQ(kernels.front(), "gather_places");
    EXPECT_TRUE(has(kernels, "gemm_shuffle_nt_gathered"));
    EXPECT_TRUE(has(kernels, "gemm_shuffle_tn_gathered"));
    EXPECT_FALSE(has(kernels, "gather_batch"));
    return kernels;
  }
};

// Images whose rows end in bytes that are no pixels, batches and outputs that fill no tile.
TEST_P(GemmGatheredTileTest, MatchesReference) {
  check_tile({.activation = {Activation::tanh}});
  check_tile({.image = {1, 3, 3}, .batch = 67, .out = 69, .batch_stride = 67});
  check_tile({.image = {1, 28, 28}, .batch = 33, .out = 100, .batch_stride = 64});
}

TEST_P(GemmGatheredTileTest, AnyShape) {
  const std::string tile = GetParam();
  PhiloxRng rng(700 + tile.size() * 256 + static_cast<std::uint64_t>(tile[8] + tile[10]));
  for (int trial = 0; trial < 4; ++trial) check_tile(random_case(rng, 140, 150));
}

// The weight gradient's K in parts, which begin at any image.
TEST_P(GemmGatheredTileTest, SplitsABatch) {
  for (const std::int64_t batch : {300, 517}) {
    const Names kernels = check_tile({.image = {1, 3, 3}, .batch = batch, .out = 10});
    EXPECT_TRUE(has(kernels, "gemm_reduce"));
  }
}

// The first step, of one replica, of a batch that the epoch just has.
TEST_P(GemmGatheredTileTest, FirstStep) {
  check_tile({.batch = 1, .out = 1, .batch_stride = 1, .step_in_epoch = 0, .replicas = 1});
  check_tile({.batch = 64, .out = 64, .batch_stride = 64, .step_in_epoch = 0, .replicas = 1});
}

// Of normalised pixels, of which there are two here, near no boundary of halves.
TEST_P(GemmGatheredTileTest, RoundsToHalves) {
  check_tile(
      {.normalization = {.mean = 0.3, .std = 0.7}, .exact = true, .precision = Precision::mixed});
}

INSTANTIATE_TEST_SUITE_P(Tiles, GemmGatheredTileTest,
                         ::testing::Values("shuffle 32x8", "shuffle 24x8", "shuffle 20x8",
                                           "shuffle 16x8", "shuffle 8x8", "shuffle 8x32 transposed",
                                           "shuffle 8x24 transposed", "shuffle 8x20 transposed",
                                           "shuffle 8x16 transposed", "shuffle 8x8 transposed"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::ranges::replace(name, ' ', '_');
                           return name;
                         });

class GemmGatheredTest : public GatheredTest {};

TEST_F(GemmGatheredTest, Proposals) {
  PhiloxRng rng(77);
  for (int trial = 0; trial < 12; ++trial) check(random_case(rng, 300, 256));
}

TEST_F(GemmGatheredTest, Normalization) {
  for (const Normalization& normalization :
       {Normalization{}, {0.1307, 0.3081}, {-2, 0.05}, {0.5, 100}, {0, 0.25}}) {
    check({.normalization = normalization});
  }
}

// x lies in scratch memory of each such product.
TEST_F(GemmGatheredTest, OtherKernelsStoreTheBatch) {
  PhiloxRng rng(78);
  for (int trial = 0; trial < 6; ++trial) {
    GatheredCase c = random_case(rng, 140, 150);
    if (trial == 0) c = {.image = {1, 3, 3}, .batch = 300, .out = 10};  // split
    c.kernel = "register 16x8";
    const Names kernels = check(c);
    EXPECT_EQ(std::ranges::count(kernels, "gather_places"), 1);
    EXPECT_EQ(std::ranges::count(kernels, "gather_batch"), 2);
    EXPECT_TRUE(trial > 0 || has(kernels, "gemm_reduce"));
    EXPECT_EQ(std::ranges::count(kernels, "gemm_register_nt"), 1);
    EXPECT_EQ(std::ranges::count(kernels, "gemm_register_tn"), 1);
  }
}

// The tiles stay where the batch has to be stored all the same.
TEST_F(GemmGatheredTest, TilesReadAStoredBatch) {
  for (const char* kernel : {"shuffle 16x8", "shuffle 8x24 transposed"}) {
    const Names kernels = check({.batch = 50, .kernel = kernel, .stored = true});
    EXPECT_EQ(std::ranges::count(kernels, "gather_batch"), 2);
    EXPECT_EQ(std::ranges::count(kernels, "gemm_shuffle_nt"), 1);
    EXPECT_EQ(std::ranges::count(kernels, "gemm_shuffle_tn"), 1);
  }
}

TEST_F(GemmGatheredTest, OneOfTwoKernelsStoresTheBatch) {
  for (const char* kernel : {"register 16x8", "shuffle 16x8"}) {
    const bool forward = std::string(kernel).starts_with("register");
    const Names kernels =
        check({.batch = 50,
               .kernel = kernel,
               .kernel_tn = forward ? "shuffle 8x16 transposed" : "register 16x8"});
    EXPECT_EQ(std::ranges::count(kernels, "gather_batch"), 1);
    EXPECT_TRUE(has(kernels, forward ? "gemm_register_nt" : "gemm_shuffle_nt_gathered"));
    EXPECT_TRUE(has(kernels, forward ? "gemm_shuffle_tn_gathered" : "gemm_register_tn"));
  }
}

// A plan for another device than the graph was rewritten for.
TEST_F(GemmGatheredTest, KernelsOfGpusStoreTheBatch) {
  PhiloxRng rng(79);
  for (int trial = 0; trial < 3; ++trial) {
    const GatheredCase c = random_case(rng, 140, 150);
    GatheredGraph g(c, device().profile());
    g.ops().plan_for = device().profile();
    g.ops().plan_for->kind = runtime::DeviceKind::discrete;
    const Names kernels = check(c, g);
    EXPECT_EQ(std::ranges::count(kernels, "gather_batch"), 2);
    EXPECT_TRUE(has(kernels, "gemm_tiled"));
  }
}

// What a product binds of the batch: the images and their places, or its own copy of x.
TEST_F(GemmGatheredTest, BindsNoX) {
  for (const char* kernel : {"shuffle 16x8", "register 16x8"}) {
    const GatheredGraph g({.kernel = kernel}, device().profile());
    const auto run = g.start(device(), 2);
    for (const PlannedOperation& operation : run->plan().operations()) {
      for (const PlannedDispatch& dispatch : operation.dispatches) {
        for (const PlannedBinding& binding : dispatch.bindings) {
          if (binding.source != PlannedBinding::Source::value) continue;
          EXPECT_NE(g.ops().graph.root(binding.id), g.batch().x) << dispatch.shader;
        }
      }
    }
  }
}

TEST(GemmGathered, NoOperandOfADataGradientIsABatch) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId a = graph.add_external("a", {kBatch, 4}, DType::f32, false);
  const ValueId b = graph.add_external("b", {4, 5}, DType::f32, true);
  Gemm gemm(GemmForm::nn, a, b, graph.add_activation("c", {kBatch, 5}));
  EXPECT_THROW(gemm.gather({}), std::invalid_argument);
}

}  // namespace
}  // namespace vktrain::testing
