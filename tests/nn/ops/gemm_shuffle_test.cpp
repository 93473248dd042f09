// The register tiles of matrix products on CPU drivers whose lanes share an operand by shuffles: of
// every size, along either side of the result, with rows and columns that fill no tile.
#include <fmt/format.h>

#include <algorithm>

#include "nn/fusion.h"
#include "nn/layers/linear.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

struct ShuffleTile {
  const char* name;
  std::int64_t batch, in, out;  // of a layer; batches below 128, so that no product is split
};

class GemmShuffleTest : public OpTest, public ::testing::WithParamInterface<ShuffleTile> {
 protected:
  void SetUp() override {
    OpTest::SetUp();
    const runtime::DeviceProfile& own = device().profile();
    if (!own.subgroup_shuffle || own.subgroup_size != 8) {
      GTEST_SKIP() << "needs subgroups of 8 with shuffles";
    }
  }

  // Two layers, so that all three forms are there; the fused ones have bias and tanh in them.
  static OpCase make_case(bool fused, std::uint64_t seed) {
    OpCase c;
    c.batch = GetParam().batch;
    c.columns = GetParam().in;
    c.replicas = fused ? 2 : 1;
    c.seed = seed;
    c.build = [](Graph& graph, ValueId x) {
      const ValueId same = linear(graph, x, {.out = GetParam().in}, "1");
      const ValueId hidden = activation(graph, same, {Activation::tanh}, "2");
      return linear(graph, hidden, {.out = GetParam().out}, "3");
    };
    if (fused) c.rewrite = [](Graph& graph) { fuse(graph); };
    c.kernel = GetParam().name;
    return c;
  }
};

TEST_P(GemmShuffleTest, MatchesReference) {
  check(make_case(false, 600));
  check(make_case(true, 601));
}

TEST_P(GemmShuffleTest, RunsTheKernelItIsMeantToTest) {
  const OpGraph ops(make_case(true, 1));
  OpRun run(device(), ops, GetParam().batch, 1);
  for (const char* family : {"gemm nt", "gemm nn", "gemm tn"}) {
    std::size_t asked = 0;
    for (const VariantQuestion& question : run.plan().questions()) {
      if (question.family != family) continue;
      ++asked;
      const std::size_t choice = run.plan().options().variants->choose(question);
      EXPECT_EQ(question.candidates[choice], GetParam().name) << family << " " << question.shape;
    }
    EXPECT_GT(asked, 0u) << family;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiles, GemmShuffleTest,
                         ::testing::Values(ShuffleTile{"shuffle 32x8", 61, 33, 64},
                                           ShuffleTile{"shuffle 24x8", 23, 67, 130},
                                           ShuffleTile{"shuffle 20x8", 19, 130, 61},
                                           ShuffleTile{"shuffle 16x8", 13, 65, 130},
                                           ShuffleTile{"shuffle 8x8", 7, 129, 63},
                                           ShuffleTile{"shuffle 8x32 transposed", 123, 5, 31},
                                           ShuffleTile{"shuffle 8x24 transposed", 125, 9, 45},
                                           ShuffleTile{"shuffle 8x20 transposed", 127, 65, 97},
                                           ShuffleTile{"shuffle 8x16 transposed", 63, 33, 10},
                                           ShuffleTile{"shuffle 8x8 transposed", 122, 31, 3}),
                         [](const auto& instance) {
                           const ShuffleTile& tile = instance.param;
                           std::string name = fmt::format("{} of {} {} {}", tile.name, tile.batch,
                                                          tile.in, tile.out);
                           std::ranges::replace(name, ' ', '_');
                           return name;
                         });

}  // namespace
}  // namespace vktrain::testing
