#include "tests/nn/optimizers/gemm_update_fixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"

namespace vktrain::testing {

using namespace nn;

namespace {

// What a range has of all replicas, but for the rows of these members.
std::vector<std::uint32_t> around(runtime::Device& device, const OpRun& run, runtime::Slice range,
                                  const std::vector<std::size_t>& members) {
  const ParameterLayout& layout = run.storage().layout();
  std::vector<std::uint32_t> words(range.size / 4);
  device.download(range, std::as_writable_bytes(std::span(words)));
  for (std::int64_t replica = 0; replica < run.storage().replicas(); ++replica) {
    for (const std::size_t member : members) {
      const Layout own = layout_of(run.storage().set()[member].shape);
      for (std::int64_t row = 0; row < own.rows; ++row) {
        const std::int64_t place =
            replica * layout.trainable_size() + layout.offset(member) + row * own.row_stride;
        std::fill_n(words.begin() + place, own.columns, 0);
      }
    }
  }
  return words;
}

}  // namespace

OptimizerConfig config_of(OptimizerKind kind, OptimizerDefinition definition) {
  OptimizerConfig config = default_optimizer(kind, definition);
  config.learning_rate = kind == OptimizerKind::sgd ? 0.1 : 0.02;
  return config;
}

std::vector<OptimizerConfig> replicas_of(const OptimizerConfig& config, std::size_t count) {
  std::vector<OptimizerConfig> configs(count, config);
  for (std::size_t i = 0; i < count; ++i) {
    configs[i].learning_rate /= 1 + static_cast<double>(i);
    configs[i].weight_decay += 0.02 * static_cast<double>(i);
  }
  return configs;
}

std::vector<OptimizerConfig> adam_replicas() {
  return replicas_of(config_of(OptimizerKind::adam, OptimizerDefinition::pytorch));
}

bool has_merged(const Names& kernels) {
  return std::ranges::any_of(kernels,
                             [](const auto& name) { return name.starts_with("gemm_update_"); });
}

bool GemmUpdateTest::can_merge() { return gemm_can_shuffle(device().profile()); }

Names GemmUpdateTest::with_rest(const UpdateCase& c, Names kernels, std::string_view rest) {
  kernels.insert(kernels.end(), c.own_bias ? 3 : 2, by_texels(device().profile(), rest));
  return kernels;
}

Names GemmUpdateTest::check(const UpdateCase& c, const UpdateGraph& g) {
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

void GemmUpdateTest::check_merged(const UpdateCase& c, const std::string& shader) {
  EXPECT_EQ(check(c), with_rest(c, {"gemm_update_" + shader}, shader));
}

void MergedGemmUpdateTest::SetUp() {
  GemmUpdateTest::SetUp();
  if (!can_merge()) GTEST_SKIP() << "needs subgroups of 8 with shuffles";
}

std::unique_ptr<OpRun> MergedGemmUpdateTest::run_apart(const UpdateCase& c, const UpdateGraph& g) {
  const auto replicas = static_cast<std::uint32_t>(c.replicas.size());
  const OpRun proposed(device(), g.ops(), c.batch, replicas);
  VariantChoices choices;
  for (const VariantQuestion& question : proposed.plan().questions()) {
    if (question.family.starts_with("gemm update ")) {
      choices.answer(question.family, question.shape, "apart");
    }
  }
  return std::make_unique<OpRun>(device(), g.ops(), c.batch, replicas, 0,
                                 std::make_shared<const VariantChoices>(std::move(choices)));
}

bool MergedGemmUpdateTest::splits_alone(const UpdateCase& c) {
  const GemmSizes sizes = {.m = c.out, .n = c.in, .k = c.batch};
  return gemm_candidates(GemmForm::tn, sizes, device().profile(), c.precision).front().splits > 1;
}

void MergedGemmUpdateTest::bind_no_joined_slots(UpdateGraph& g) {
  const auto slot =
      static_cast<std::uint64_t>(4 * 2 * ParameterLayout(g.ops().parameters).trainable_size());
  g.ops().plan_for = device().profile();
  g.ops().plan_for->max_storage_range = slot + 4;
}

void MergedGemmUpdateTest::check_leaves_others_alone(const UpdateCase& c,
                                                     const std::vector<std::size_t>& members) {
  UpdateGraph g(c);
  g.ops().optimizer_fill = {0.5f, 0.25f};
  OpRun run(device(), g.ops(), c.batch, 2);
  EXPECT_EQ(shaders(run), Names{"gemm_update_adam"});
  const ParameterStorage& storage = run.storage();
  const std::vector<runtime::Slice> ranges = {storage.parameters(), storage.optimizer_state(0),
                                              storage.optimizer_state(1)};
  std::vector<std::vector<std::uint32_t>> before;
  for (const auto& range : ranges) before.push_back(around(device(), run, range, members));
  const auto first = g.results(run, 1);
  g.step(run, 0, 0, 2);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    EXPECT_EQ(around(device(), run, ranges[i], members), before[i]);
  }
  const auto last = g.results(run, 1);
  for (const std::size_t member : members) EXPECT_NE(last[member], first[member]);
}

}  // namespace vktrain::testing
