// The tiles of matrix products on GPUs: of shared memory and, in mixed precision, of matrix units.
#include <algorithm>
#include <set>

#include "nn/fusion.h"
#include "nn/layers/linear.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"
#include "runtime/kernel.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

struct Sizes {
  std::int64_t batch, in, out;
};

// All sizes of tiles, with remainders and without: the aligned ones do not check bounds.
class GemmTilingTest : public OpTest, public ::testing::WithParamInterface<const char*> {
 protected:
  // The smallest tiles are the baseline, which every device must offer.
  void SetUp() override {
    OpTest::SetUp();
    const std::string tiling = GetParam();
    const auto offered = gemm_candidates(GemmForm::nt, {256, 128, 128}, gpu_profile());
    const bool fits = std::ranges::any_of(
        offered, [&](const GemmVariant& variant) { return variant.name.starts_with(tiling); });
    if (!fits && tiling != "tiled 32x32 by 4x4") {
      GTEST_SKIP() << tiling << " is beyond the limits of this device";
    }
  }

  // They run on any device that has the limits.
  runtime::DeviceProfile gpu_profile() {
    runtime::DeviceProfile profile = device().profile();
    profile.kind = runtime::DeviceKind::discrete;
    return profile;
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
    c.plan_for = gpu_profile();
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

}  // namespace
}  // namespace vktrain::testing
