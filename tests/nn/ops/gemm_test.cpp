// The three forms of the matrix product, with the epilogues that fusions switch on, by both
// families of kernels, in the middle of a network.
#include "nn/ops/gemm.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "nn/fusion.h"
#include "nn/layers/linear.h"
#include "nn/ops/gemm_variants.h"
#include "runtime/error.h"
#include "runtime/kernel.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

struct Sizes {
  std::int64_t batch, in, out;
};

// Around the tiles (16, 32, 64), the depth of a split (64) and what a kernel takes of K at once.
std::vector<Sizes> random_sizes(std::size_t count, std::uint64_t seed) {
  constexpr std::int64_t kBatches[] = {1,   2,   3,   5,   15,  16,  17,   31,
                                       33,  63,  64,  65,  127, 128, 129,  130,
                                       143, 145, 255, 256, 257, 512, 1023, 1030};
  constexpr std::int64_t kColumns[] = {1,  2,  3,  4,  5,  7,  8,  9,  10, 15,  16,
                                       17, 31, 32, 33, 48, 63, 64, 65, 67, 100, 129};
  std::vector<Sizes> all = {{1, 1, 1}, {1030, 1, 1}, {1, 129, 129}, {1030, 65, 17}, {64, 64, 64}};
  PhiloxRng rng(seed);
  const auto any = [&rng](std::span<const std::int64_t> sizes) {
    return sizes[rng.below(static_cast<std::uint32_t>(sizes.size()))];
  };
  while (all.size() < count) all.push_back({any(kBatches), any(kColumns), any(kColumns)});
  return all;
}

// The baseline on GPUs, which runs on any device.
runtime::DeviceProfile gpu_profile(const runtime::DeviceProfile& own) {
  runtime::DeviceProfile profile = own;
  profile.kind = runtime::DeviceKind::discrete;
  return profile;
}

enum class Family { shuffles, registers, tiled };

class GemmTest : public OpTest, public ::testing::WithParamInterface<Family> {
 protected:
  void SetUp() override {
    OpTest::SetUp();
    const runtime::DeviceProfile& own = device().profile();
    if (GetParam() == Family::shuffles && !(own.subgroup_shuffle && own.subgroup_size == 8)) {
      GTEST_SKIP() << "needs subgroups of 8 with shuffles";
    }
  }

  // x -> linear (in -> out) with bias -> activation -> linear (out -> 3) -> ...
  OpCase make_case(const Sizes& sizes, const ActivationSpec& spec, bool fused, std::uint64_t seed) {
    OpCase c;
    c.batch = sizes.batch;
    c.columns = sizes.in;
    c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
    c.seed = seed;
    c.build = [out = sizes.out, spec](Graph& graph, ValueId x) {
      const ValueId hidden = activation(graph, linear(graph, x, {.out = out}, "1"), spec, "2");
      return linear(graph, hidden, {.out = 3}, "3");
    };
    if (fused) c.rewrite = [](Graph& graph) { fuse(graph); };
    c.plan_for = profile();
    return c;
  }

  runtime::DeviceProfile profile() {
    runtime::DeviceProfile result = gpu_profile(device().profile());
    if (GetParam() != Family::tiled) result.kind = runtime::DeviceKind::cpu;
    if (GetParam() == Family::registers) result.subgroup_shuffle = false;
    return result;
  }

  static std::set<std::string> shaders(const Plan& plan) {
    std::set<std::string> names;
    for (const PlannedOperation& operation : plan.operations()) {
      for (const PlannedDispatch& dispatch : operation.dispatches) names.insert(dispatch.shader);
    }
    return names;
  }
};

TEST_P(GemmTest, AllFormsMatchReference) {
  std::uint64_t seed = 0;
  for (const Sizes& sizes : random_sizes(64, 3)) {
    ++seed;
    check(make_case(sizes, {}, seed % 2 == 0, seed));
    if (HasFailure()) break;
  }
}

TEST_P(GemmTest, EpiloguesMatchReference) {
  std::uint64_t seed = 100;
  for (const Activation kind :
       {Activation::relu, Activation::tanh, Activation::sigmoid, Activation::elu,
        Activation::leaky_relu, Activation::gelu, Activation::silu}) {
    for (const Sizes& sizes :
         {Sizes{1, 1, 1}, {5, 7, 3}, {65, 33, 17}, {257, 31, 65}, {1030, 9, 34}}) {
      check(make_case(sizes, {kind, kind == Activation::elu ? 1.5f : 0.5f}, true, ++seed));
    }
  }
}

// The fused network has all three forms, the second pass, and its activations in the products.
TEST_P(GemmTest, RunsTheKernelsItIsMeantToTest) {
  const OpGraph ops(make_case({1030, 9, 34}, {Activation::relu}, true, 1));
  OpRun run(device(), ops, 1030, 1);
  const std::set<std::string> names = shaders(run.plan());
  EXPECT_TRUE(names.contains("gemm_reduce"));
  for (const char* form : {"nt", "nn", "tn"}) {
    EXPECT_EQ(names.contains(fmt::format("gemm_register_{}", form)),
              GetParam() == Family::registers);
    EXPECT_EQ(names.contains(fmt::format("gemm_shuffle_{}", form)), GetParam() == Family::shuffles);
  }
  EXPECT_EQ(names.contains("gemm_tiled"), GetParam() == Family::tiled);
  EXPECT_FALSE(names.contains("activation_forward") || names.contains("activation_backward"));
}

// The reference rounds the operands, too, so that the tolerance stays that of f32.
TEST_P(GemmTest, MixedPrecisionMatchesReference) {
  std::uint64_t seed = 300;
  for (const Sizes& sizes : random_sizes(16, 11)) {
    OpCase c = make_case(sizes, {Activation::tanh}, true, ++seed);
    c.rewrite = [fused = seed % 2 == 0](Graph& graph) {
      if (fused) fuse(graph);
      set_precision(graph, Precision::mixed);
    };
    check(c);
    if (HasFailure()) break;
  }
}

// Without a backward pass the product applies them, too.
TEST_P(GemmTest, ActivationsWhoseDerivativesReadTheirInput) {
  for (const Activation kind : {Activation::gelu, Activation::silu}) {
    OpCase c = make_case({65, 32, 17}, {kind}, true, 5);
    c.input_gradient = false;
    c.build = [kind](Graph& graph, ValueId x) {
      const ValueId weight = graph.add_external("weight", {17, 32}, DType::f32, false);
      const ValueId product = linear_product(graph, x, weight, "1");
      return activation(graph, product, {kind}, "2");
    };
    const OpGraph ops(c);
    EXPECT_EQ(ops.graph.operations().front()->kind(), "gemm");
    EXPECT_EQ(ops.graph.operations()[1]->kind(), "weighted_loss");
    check(c);
  }
}

TEST_P(GemmTest, PaddingOfResultsIsZero) {
  for (const std::int64_t batch : {3, 130, 400}) {
    const OpGraph ops(make_case({batch, 5, 17}, {Activation::sigmoid}, true, 7));
    OpRun run(device(), ops, batch, 1);
    run.run();
    std::size_t padded = 0;
    for (const auto& operation : ops.graph.operations()) {
      if (operation->kind() != "gemm") continue;
      for (const ValueId id : operation->outputs()) {
        for (const std::uint32_t word : run.padding(id, 0)) {
          EXPECT_EQ(std::bit_cast<float>(word), 0.0f) << ops.graph.value(id).name;
          ++padded;
        }
      }
    }
    EXPECT_GT(padded, 0u);
  }
}

TEST_P(GemmTest, ReplicasAreTheSingleRuns) {
  const OpGraph ops([&] {
    OpCase c = make_case({300, 20, 33}, {Activation::tanh}, true, 9);
    c.replicas = 3;
    return c;
  }());
  OpRun all(device(), ops, 300, 3);
  all.run();
  for (std::uint32_t replica = 0; replica < 3; ++replica) {
    OpRun single(device(), ops, 300, 1, replica);
    single.run();
    for (ValueId id = 0; id < ops.graph.value_count(); ++id) {
      if (id == ops.loss || !all.has(id)) continue;
      EXPECT_TRUE(all.words(id, replica) == single.words(id, 0)) << ops.graph.value(id).name;
    }
  }
}

TEST_P(GemmTest, Gradients) { check_gradients(make_case({4, 5, 3}, {Activation::tanh}, false, 1)); }

INSTANTIATE_TEST_SUITE_P(Families, GemmTest,
                         ::testing::Values(Family::shuffles, Family::registers, Family::tiled),
                         [](const auto& instance) -> std::string {
                           return instance.param == Family::shuffles    ? "Shuffles"
                                  : instance.param == Family::registers ? "Registers"
                                                                        : "Tiled";
                         });

// All sizes of tiles, with remainders and without: the aligned ones do not check bounds.
class GemmTilingTest : public OpTest, public ::testing::WithParamInterface<const char*> {
 protected:
  // The smallest tiles are the baseline, which every device must offer.
  void SetUp() override {
    OpTest::SetUp();
    const std::string tiling = GetParam();
    const auto offered =
        gemm_candidates(GemmForm::nt, {256, 128, 128}, gpu_profile(device().profile()));
    const bool fits = std::ranges::any_of(
        offered, [&](const GemmVariant& variant) { return variant.name.starts_with(tiling); });
    if (!fits && tiling != "tiled 32x32 by 4x4") {
      GTEST_SKIP() << tiling << " is beyond the limits of this device";
    }
  }

  OpCase make_case(const Sizes& sizes, bool fused, std::uint64_t seed) {
    OpCase c;
    c.batch = sizes.batch;
    c.columns = sizes.in;
    c.seed = seed;
    c.build = [out = sizes.out](Graph& graph, ValueId x) {
      const ValueId hidden = linear(graph, x, {.out = out}, "1");
      return linear(graph, activation(graph, hidden, {Activation::tanh}, "2"), {.out = out}, "3");
    };
    if (fused) c.rewrite = [](Graph& graph) { fuse(graph); };
    c.plan_for = gpu_profile(device().profile());
    c.kernel = GetParam();
    return c;
  }
};

// In the last ones K is split, so that the second pass has the epilogues.
TEST_P(GemmTilingTest, MatchesReference) {
  std::uint64_t seed = 200;
  for (const Sizes& sizes :
       {Sizes{1, 1, 1}, {1030, 65, 17}, {129, 67, 200}, {130, 132, 260}, {256, 128, 128}}) {
    ++seed;
    check(make_case(sizes, seed % 2 == 0, seed));
    check(make_case(sizes, seed % 2 != 0, seed));
  }
}

// Whole tiles take the kernels for them, and K is split in all forms.
TEST_P(GemmTilingTest, RunsTheKernelItIsMeantToTest) {
  const OpGraph ops(make_case({256, 128, 128}, true, 1));
  OpRun run(device(), ops, 256, 1);
  std::set<std::string> families;
  for (const VariantQuestion& question : run.plan().questions()) {
    const std::string& name = question.candidates[run.plan().options().variants->choose(question)];
    EXPECT_TRUE(name.starts_with(std::string(GetParam()) + " aligned split")) << name;
    families.insert(question.family);
  }
  EXPECT_EQ(families.size(), 3u);
}

INSTANTIATE_TEST_SUITE_P(Tilings, GemmTilingTest,
                         ::testing::Values("tiled 128x128 by 8x8", "tiled 128x64 by 8x8",
                                           "tiled 64x64 by 8x4", "tiled 64x64 by 4x4",
                                           "tiled 32x32 by 4x4"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::erase(name, ' ');
                           return name;
                         });

class GemmMatrixTest : public OpTest {
 protected:
  void SetUp() override {
    OpTest::SetUp();
    if (device().profile().half_matrix[0] == 0) GTEST_SKIP() << "needs matrix units";
    if (!runtime::has_shader("gemm_matrix")) {
      GTEST_SKIP() << "the GLSL compiler of this build does not know cooperative matrices";
    }
  }

  // Names without what depends on the sizes, "matrix 64x64".
  std::vector<std::string> tilings() {
    std::vector<std::string> names;
    for (const GemmVariant& variant :
         gemm_candidates(GemmForm::nn, {7, 7, 7}, device().profile(), Precision::mixed)) {
      if (variant.shader == "gemm_matrix") names.push_back(variant.name);
    }
    return names;
  }
};

// With and without whole tiles, split K, and the sums of A's columns.
TEST_F(GemmMatrixTest, MatchesReference) {
  std::uint64_t seed = 500;
  const std::vector<std::string> names = tilings();
  ASSERT_FALSE(names.empty());
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    for (const Sizes& sizes : {Sizes{3, 5, 7}, {1030, 65, 17}, {256, 128, 128}}) {
      OpCase c;
      c.batch = sizes.batch;
      c.columns = sizes.in;
      c.seed = ++seed;
      c.build = [out = sizes.out](Graph& graph, ValueId x) {
        const ValueId hidden = linear(graph, x, {.out = out}, "1");
        return linear(graph, activation(graph, hidden, {Activation::tanh}, "2"), {.out = out}, "3");
      };
      c.rewrite = [](Graph& graph) {
        fuse(graph);
        set_precision(graph, Precision::mixed);
      };
      c.kernel = name;
      check(c);
      if (HasFailure()) return;
    }
  }
}

// The proposal of every device has been tested without a tuner.
TEST(GemmVariants, MatrixUnitsAreNeverProposedUntested) {
  runtime::DeviceProfile profile;
  profile.half_matrix = {16, 16, 16};
  profile.subgroup_size = 32;
  profile.max_workgroup_invocations = 1024;
  profile.max_workgroup_size = {1024, 1024, 64};
  profile.max_shared_memory = 49152;
  const auto matrices = [&profile](Precision precision) {
    std::size_t count = 0;
    for (const GemmVariant& variant :
         gemm_candidates(GemmForm::nt, {4096, 4096, 4096}, profile, precision)) {
      if (variant.shader == "gemm_matrix") ++count;
    }
    return count;
  };
  for (const runtime::DeviceKind kind : {runtime::DeviceKind::cpu, runtime::DeviceKind::discrete}) {
    profile.kind = kind;
    EXPECT_NE(gemm_candidates(GemmForm::nt, {64, 64, 64}, profile, Precision::mixed).front().shader,
              "gemm_matrix");
    EXPECT_EQ(matrices(Precision::f32), 0u);
    EXPECT_EQ(matrices(Precision::mixed), runtime::has_shader("gemm_matrix") ? 3u : 0u);
  }
}

// A device with the least limits that Vulkan allows gets kernels within them only.
TEST(GemmVariants, StayWithinTheDevicesLimits) {
  runtime::DeviceProfile least;
  least.kind = runtime::DeviceKind::integrated;
  least.max_workgroup_invocations = 128;
  least.max_workgroup_size = {128, 128, 64};
  least.max_shared_memory = 16384;
  runtime::DeviceProfile large = least;
  large.max_workgroup_invocations = 1024;
  large.max_workgroup_size = {1024, 1024, 64};
  large.max_shared_memory = 49152;
  const GemmSizes sizes = {4096, 4096, 4096};
  for (const GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
    const std::vector<GemmVariant> few = gemm_candidates(form, sizes, least);
    for (const GemmVariant& variant : few) EXPECT_LE(variant.workgroup, 128u) << variant.name;
    EXPECT_EQ(few.front().name, "tiled 128x64 by 8x8 aligned");
    EXPECT_EQ(gemm_candidates(form, sizes, large).front().name, "tiled 128x128 by 8x8 aligned");
    EXPECT_GT(gemm_candidates(form, sizes, large).size(), few.size());
    // Too few of the large tiles to fill a GPU.
    EXPECT_EQ(gemm_candidates(form, {512, 100, 784}, large).front().name,
              "tiled 32x32 by 4x4 split 4");
  }
}

// Every split has work, and together they cover K once.
TEST(GemmVariants, SplitsCoverK) {
  runtime::DeviceProfile profile;
  PhiloxRng rng(5);
  bool any_split = false;
  for (int trial = 0; trial < 2000; ++trial) {
    profile.kind = trial % 2 ? runtime::DeviceKind::cpu : runtime::DeviceKind::discrete;
    const GemmSizes sizes = {1 + rng.below(300), 1 + rng.below(900), 1 + rng.below(5000)};
    for (const GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
      for (const GemmVariant& variant : gemm_candidates(form, sizes, profile)) {
        const std::int64_t splits = variant.splits;
        EXPECT_GE(splits * variant.k_per_split, sizes.k);
        EXPECT_LT((splits - 1) * variant.k_per_split, sizes.k);
        EXPECT_TRUE(splits == 1 || variant.k_per_split % 16 == 0);
        any_split = any_split || splits > 1;
      }
    }
  }
  EXPECT_TRUE(any_split);
}

TEST(GemmShape, RefusesOtherShapes) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 100}, DType::f32, false);
  const ValueId weight = graph.add_parameter({.name = "1.weight", .shape = {10, 128}});
  try {
    linear_product(graph, x, weight, "1");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[gemm] 1: expected an input of shape [batch, 128], found [batch, 100]");
  }
}

}  // namespace
}  // namespace vktrain::testing
