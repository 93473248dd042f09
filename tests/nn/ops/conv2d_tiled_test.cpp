// The tiles of the "tiled" convolutions: each against the reference, and which one is proposed.
#include <algorithm>
#include <string>

#include "nn/ops/conv2d_variants.h"
#include "tests/nn/ops/conv2d_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// All tiles that GPUs have, with remainders of all of them and without.
class Conv2dTilingTest : public OpTest, public ::testing::WithParamInterface<const char*> {
 protected:
  OpCase make_case(const ConvCase& conv, const ActivationSpec& spec, std::uint64_t seed) {
    OpCase c = network(conv, spec, seed);
    c.plan_for = device().profile();
    c.plan_for->kind = runtime::DeviceKind::discrete;
    c.kernel = GetParam();
    return c;
  }
};

TEST_P(Conv2dTilingTest, MatchesReference) {
  const Size2d one = {1, 1};
  const Window2d window = {{3, 3}, one, one, one, one};
  std::uint64_t seed = 600;
  for (const ConvCase& conv : {ConvCase{3, 5, {9, 7}, 10, {window, 1}},
                               {4, 64, {8, 8}, 64, {window, 1}},
                               {2, 66, {10, 13}, 70, {window, 2}},
                               {1, 16, {12, 12}, 130, {{{5, 5}, {2, 2}, one, one, one}, 1}}}) {
    SCOPED_TRACE(to_string(conv));
    const Activation kind = ++seed % 2 == 0 ? Activation::none : Activation::tanh;
    check(make_case(conv, {kind}, seed));
    if (HasFailure()) break;
  }
}

TEST_P(Conv2dTilingTest, RunsTheKernelItIsMeantToTest) {
  const Window2d window = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
  const OpGraph ops(make_case({4, 64, {8, 8}, 64, {window, 1}}, {}, 1));
  const OpRun run(device(), ops, 4, 1);
  std::size_t questions = 0;
  for (const VariantQuestion& question : run.plan().questions()) {
    EXPECT_EQ(question.candidates[run.plan().options().variants->choose(question)], GetParam());
    ++questions;
  }
  EXPECT_EQ(questions, 3u);
}

INSTANTIATE_TEST_SUITE_P(Tilings, Conv2dTilingTest,
                         ::testing::Values("tiled 32x32", "tiled 64x64", "tiled 32x128",
                                           "tiled 64x128"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::erase(name, ' ');
                           return name;
                         });

// Enough workgroups for a GPU come first, then little waste.
TEST(Conv2dTilings, AreProposedBySize) {
  runtime::DeviceProfile gpu;
  gpu.kind = runtime::DeviceKind::discrete;
  const auto proposal = [&gpu](Conv2dPass pass, std::int64_t batch, std::int64_t in,
                               std::int64_t out, std::int64_t side) {
    const Conv2dSizes sizes = {.window = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
                               .batch = batch,
                               .in_channels = in,
                               .out_channels = out,
                               .input = {side, side},
                               .output = {side, side}};
    const auto all = conv2d_candidates(pass, sizes, gpu);
    EXPECT_EQ(all.size(), 4u);
    return all.front().name;
  };
  EXPECT_EQ(proposal(Conv2dPass::forward, 512, 32, 64, 14), "tiled 64x128");
  EXPECT_EQ(proposal(Conv2dPass::forward, 512, 1, 32, 28), "tiled 32x128");
  EXPECT_EQ(proposal(Conv2dPass::forward, 4, 32, 64, 14), "tiled 32x32");
  EXPECT_EQ(proposal(Conv2dPass::weight_gradient, 64, 1, 8, 28), "tiled 32x32");
}

}  // namespace
}  // namespace vktrain::testing
