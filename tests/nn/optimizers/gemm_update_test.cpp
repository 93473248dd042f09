// Weight gradients that update their weights in the same kernel, and those that cannot: a few steps
// of several replicas on the device against the double-precision reference.
#include "nn/optimizers/gemm_update.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "nn/ops/gemm_variants.h"
#include "tests/nn/optimizers/gemm_update_rig.h"

namespace vktrain::testing {
namespace {

using namespace nn;
using enum OptimizerDefinition;
using Names = std::vector<std::string>;

OptimizerConfig config_of(OptimizerKind kind, OptimizerDefinition definition) {
  OptimizerConfig config = default_optimizer(kind, definition);
  config.learning_rate = kind == OptimizerKind::sgd ? 0.1 : 0.02;
  return config;
}

// Of different learning rates and weight decays.
std::vector<OptimizerConfig> replicas_of(const OptimizerConfig& config, std::size_t count = 2) {
  std::vector<OptimizerConfig> configs(count, config);
  for (std::size_t i = 0; i < count; ++i) {
    configs[i].learning_rate /= 1 + static_cast<double>(i);
    configs[i].weight_decay += 0.02 * static_cast<double>(i);
  }
  return configs;
}

std::vector<OptimizerConfig> adam_replicas() {
  return replicas_of(config_of(OptimizerKind::adam, pytorch));
}

bool has_merged(const Names& kernels) {
  return std::ranges::any_of(kernels,
                             [](const auto& name) { return name.starts_with("gemm_update_"); });
}

class GemmUpdateTest : public DeviceTest {
 protected:
  bool can_merge() { return gemm_can_shuffle(device().profile()); }

  // The kernels of the weights' update and those of the rest, which has two parts.
  Names with_rest(Names kernels, std::string_view rest) {
    kernels.insert(kernels.end(), 2, by_texels(device().profile(), rest));
    return kernels;
  }

  // Three steps of all replicas against their references, and of the last one alone bit by bit.
  // Returns the kernels.
  Names check(const UpdateCase& c, const UpdateGraph& g) {
    const auto count = static_cast<std::uint32_t>(c.replicas.size());
    OpRun all(device(), g.ops(), c.batch, count);
    OpRun single(device(), g.ops(), c.batch, 1, count - 1);
    std::vector<ReferenceMemory> memories;
    for (std::uint32_t r = 0; r < count; ++r) memories.push_back(g.reference(r));
    for (std::uint32_t step = 0; step < 3; ++step) {
      SCOPED_TRACE(fmt::format("step {}", step));
      g.step(all, step, 0, count);
      g.step(single, step, count - 1, 1);
      for (std::uint32_t r = 0; r < count; ++r) {
        g.step(memories[r], step, r);
        g.expect_reference(all, r, memories[r]);
      }
      EXPECT_TRUE(g.results(all, count - 1) == g.results(single, 0)) << "not the single run's bits";
      if (HasFailure()) break;
    }
    return shaders(all);
  }

  Names check(const UpdateCase& c) { return check(c, UpdateGraph(c)); }

  void check_merged(const UpdateCase& c, const std::string& shader) {
    EXPECT_EQ(check(c), with_rest({"gemm_update_" + shader}, shader));
  }
};

class MergedGemmUpdateTest : public GemmUpdateTest {
 protected:
  void SetUp() override {
    GemmUpdateTest::SetUp();
    if (!can_merge()) GTEST_SKIP() << "needs subgroups of 8 with shuffles";
  }
};

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

// What a range has of all replicas, but for the rows of the weights.
std::vector<std::uint32_t> around_weights(runtime::Device& device, const OpRun& run,
                                          runtime::Slice range) {
  const ParameterLayout& layout = run.storage().layout();
  const Layout own = layout_of(run.storage().set()[1].shape);
  std::vector<std::uint32_t> words(range.size / 4);
  device.download(range, std::as_writable_bytes(std::span(words)));
  for (std::int64_t replica = 0; replica < run.storage().replicas(); ++replica) {
    for (std::int64_t row = 0; row < own.rows; ++row) {
      const std::int64_t place =
          replica * layout.trainable_size() + layout.offset(1) + row * own.row_stride;
      std::fill_n(words.begin() + place, own.columns, 0);
    }
  }
  return words;
}

TEST_F(MergedGemmUpdateTest, LeavesOtherParametersAndTheirStateAlone) {
  const UpdateCase c = {.replicas = adam_replicas(), .others = false};
  UpdateGraph g(c);
  g.ops().optimizer_fill = {0.5f, 0.25f};
  OpRun run(device(), g.ops(), c.batch, 2);
  EXPECT_EQ(shaders(run), Names{"gemm_update_adam"});
  const ParameterStorage& storage = run.storage();
  const std::vector<runtime::Slice> ranges = {storage.parameters(), storage.optimizer_state(0),
                                              storage.optimizer_state(1)};
  std::vector<std::vector<std::uint32_t>> before;
  for (const auto& range : ranges) before.push_back(around_weights(device(), run, range));
  const auto first = g.results(run, 1);
  g.step(run, 0, 0, 2);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    EXPECT_EQ(around_weights(device(), run, ranges[i]), before[i]);
  }
  EXPECT_NE(g.results(run, 1), first);
}

// Kernels that cannot merge, here or on any device: the product and the update stay apart.
TEST_F(GemmUpdateTest, FallsBackForOtherKernels) {
  const Names found = check({.replicas = adam_replicas(), .kernel = "register 16x8"});
  EXPECT_FALSE(has_merged(found));
  if (!can_merge()) return;
  EXPECT_EQ(found, with_rest({"gemm_register_tn", by_texels(device().profile(), "adam")}, "adam"));
}

TEST_F(GemmUpdateTest, FallsBackForSplitProducts) {
  const Names found = check({.batch = 300, .replicas = adam_replicas(), .kernel = ""});
  EXPECT_FALSE(has_merged(found));
  if (!can_merge()) return;
  const std::string adam = by_texels(device().profile(), "adam");
  EXPECT_EQ(found, with_rest({"gemm_shuffle_tn", "gemm_reduce", adam}, "adam"));
}

// The device binds the range of a slot of two replicas, but not of two slots: with one replica
// alone the product updates, and the bits are the same.
TEST_F(MergedGemmUpdateTest, FallsBackWhereSlotsAreNotJoined) {
  const UpdateCase c = {.replicas = adam_replicas()};
  UpdateGraph g(c);
  const auto slot =
      static_cast<std::uint64_t>(4 * 2 * ParameterLayout(g.ops().parameters).trainable_size());
  g.ops().plan_for = device().profile();
  g.ops().plan_for->max_storage_range = slot + 4;
  const std::string adam = by_texels(device().profile(), "adam");
  EXPECT_EQ(check(c, g), with_rest({"gemm_shuffle_tn", adam}, "adam"));
  const OpRun single(device(), g.ops(), c.batch, 1);
  EXPECT_EQ(shaders(single), with_rest({"gemm_update_adam"}, "adam"));
}

}  // namespace
}  // namespace vktrain::testing
