// Weight gradients that update their weights in the same kernel, and those that cannot: a few steps
// of several replicas on the device against the double-precision reference.
#include "nn/optimizers/gemm_update.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "tests/nn/optimizers/gemm_update_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;
using enum OptimizerDefinition;

TEST_F(MergedGemmUpdateTest, Sgd) {
  OptimizerConfig config = config_of(OptimizerKind::sgd, pytorch);
  config.weight_decay = 0.05;
  check_merged({.replicas = replicas_of(config, 3)}, "sgd");
  config.momentum = 0.9;
  config.dampening = 0.4;
  check_merged({.replicas = replicas_of(config, 3)}, "sgd");
}

TEST_F(MergedGemmUpdateTest, SgdWithNesterovsMomentum) {
  for (const OptimizerDefinition definition : {pytorch, keras}) {
    OptimizerConfig config = config_of(OptimizerKind::sgd, definition);
    config.momentum = 0.8;
    config.nesterov = true;
    check_merged({.replicas = replicas_of(config)}, "sgd");
  }
}

TEST_F(MergedGemmUpdateTest, SgdOfKeras) {
  OptimizerConfig config = config_of(OptimizerKind::sgd, keras);
  config.momentum = 0.9;
  check_merged({.replicas = replicas_of(config)}, "sgd");
}

// The epsilon is large, so that its place shows.
TEST_F(MergedGemmUpdateTest, Adam) {
  for (const OptimizerDefinition definition : {pytorch, keras}) {
    OptimizerConfig config = config_of(OptimizerKind::adam, definition);
    config.epsilon = 0.1;
    config.weight_decay = 0.03;
    check_merged({.replicas = replicas_of(config, 3)}, "adam");
  }
}

TEST_F(MergedGemmUpdateTest, AdamW) {
  OptimizerConfig config = config_of(OptimizerKind::adamw, pytorch);
  config.weight_decay = 0.5;
  check_merged({.replicas = replicas_of(config)}, "adam");
}

TEST_F(MergedGemmUpdateTest, RmsProp) {
  OptimizerConfig config = config_of(OptimizerKind::rmsprop, pytorch);
  check_merged({.replicas = replicas_of(config)}, "rmsprop");
  for (const OptimizerDefinition definition : {pytorch, keras}) {
    config = config_of(OptimizerKind::rmsprop, definition);
    config.momentum = 0.9;
    check_merged({.replicas = replicas_of(config)}, "rmsprop");
  }
}

TEST_F(MergedGemmUpdateTest, Adagrad) {
  OptimizerConfig config = config_of(OptimizerKind::adagrad, pytorch);
  config.initial_accumulator = 0.1;
  check_merged({.replicas = replicas_of(config)}, "adagrad");
}

TEST_F(MergedGemmUpdateTest, AnyShape) {
  PhiloxRng rng(41);
  const auto below = [&rng](std::uint32_t end) { return std::int64_t{1} + rng.below(end); };
  std::vector<UpdateCase> cases = {{.batch = 7, .out = 24, .in = 128},
                                   {.batch = 1, .out = 1, .in = 1},
                                   {.batch = 19, .out = 37, .in = 101, .kernel = ""}};
  while (cases.size() < 7) {
    cases.push_back({.batch = below(40), .out = below(80), .in = below(200)});
  }
  for (UpdateCase& c : cases) {
    SCOPED_TRACE(fmt::format("batch {}, {} x {}", c.batch, c.out, c.in));
    c.replicas = adam_replicas();
    check_merged(c, "adam");
  }
}

TEST_F(MergedGemmUpdateTest, WithoutABias) {
  check_merged({.replicas = adam_replicas(), .bias = false}, "adam");
}

TEST_F(MergedGemmUpdateTest, MixedPrecision) {
  OptimizerConfig config = config_of(OptimizerKind::sgd, pytorch);
  config.momentum = 0.9;
  check_merged({.replicas = replicas_of(config), .precision = Precision::mixed}, "sgd");
}

TEST_F(MergedGemmUpdateTest, LeavesOtherParametersAndTheirStateAlone) {
  check_leaves_others_alone({.replicas = adam_replicas(), .others = false}, {1});
}

// Kernels that cannot merge, here or on any device: the product and the update stay apart.
TEST_F(GemmUpdateTest, FallsBackForOtherKernels) {
  const UpdateCase c = {.replicas = adam_replicas(), .kernel = "register 16x8"};
  const Names found = check(c);
  EXPECT_FALSE(has_merged(found));
  if (!can_merge()) return;
  const std::string adam = by_texels(device().profile(), "adam");
  EXPECT_EQ(found, with_rest(c, {"gemm_register_tn", adam}, "adam"));
}

// K is split where it is long.
TEST_F(GemmUpdateTest, FallsBackForSplitProducts) {
  for (const std::int64_t batch : {1025, 1300}) {
    SCOPED_TRACE(batch);
    const UpdateCase c = {.batch = batch, .replicas = adam_replicas(), .kernel = ""};
    const Names found = check(c);
    EXPECT_FALSE(has_merged(found));
    if (!can_merge()) continue;
    const std::string adam = by_texels(device().profile(), "adam");
    EXPECT_EQ(found, with_rest(c, {"gemm_shuffle_tn", "gemm_reduce", adam}, "adam"));
  }
}

// Products of up to 1024 images, which alone would be split, update in one piece.
TEST_F(MergedGemmUpdateTest, DoesNotSplitShortProducts) {
  for (const std::int64_t batch : {128, 300, 512, 1000, 1024}) {
    SCOPED_TRACE(batch);
    const UpdateCase c = {.batch = batch, .replicas = adam_replicas(), .kernel = ""};
    EXPECT_TRUE(splits_alone(c));
    check_merged(c, "adam");
  }
}

// The device binds the range of a slot of two replicas, but not of two slots: with one replica
// alone the product updates, and the bits are the same, also where the product alone would be
// split.
TEST_F(MergedGemmUpdateTest, FallsBackWhereSlotsAreNotJoined) {
  for (const std::int64_t batch : {19, 300}) {
    const UpdateCase c = {.batch = batch, .replicas = adam_replicas(), .kernel = ""};
    EXPECT_EQ(splits_alone(c), batch == 300);
    UpdateGraph g(c);
    bind_no_joined_slots(g);
    const std::string adam = by_texels(device().profile(), "adam");
    EXPECT_EQ(check(c, g), with_rest(c, {"gemm_shuffle_tn", adam}, "adam"));
    const OpRun single(device(), g.ops(), c.batch, 1);
    EXPECT_EQ(shaders(single), with_rest(c, {"gemm_update_adam"}, "adam"));
  }
}

}  // namespace
}  // namespace vktrain::testing
