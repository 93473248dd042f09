#include "tests/nn/ops/op_test.h"

#include <fmt/format.h>

#include <algorithm>

namespace vktrain::testing {

using namespace nn;

namespace {

void expect_reference(const OpCase& c, const OpGraph& ops, const OpRun& run, std::uint32_t replica,
                      ReferenceMemory& memory) {
  for (const OutputComparison& output : compare_operations(c, ops, run, replica, memory)) {
    if (output.worst.within()) continue;
    ADD_FAILURE() << to_string(output, ops.graph)
                  << fmt::format("; batch {}, columns {}, replica {}", c.batch, c.columns, replica);
  }
}

void check_same_bits(const OpGraph& ops, const OpRun& all, const OpRun& single,
                     std::uint32_t replica) {
  for (ValueId id = 0; id < ops.graph.value_count(); ++id) {
    if (id == ops.loss || !all.has(id)) continue;
    EXPECT_TRUE(all.words(id, replica) == single.words(id, 0))
        << ops.graph.value(id).name << " of replica " << replica << " differs from the single run";
  }
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

std::vector<std::pair<std::int64_t, std::int64_t>> odd_shapes(std::size_t count,
                                                              std::uint64_t seed) {
  constexpr std::int64_t kSizes[] = {1, 3, 4, 5, 63, 64, 65, 127, 128, 129, 511, 512, 513};
  std::vector<std::pair<std::int64_t, std::int64_t>> shapes = {
      {1, 1}, {1, 513}, {513, 1}, {64, 64}, {513, 513}};
  PhiloxRng rng(seed);
  while (shapes.size() < count) {
    shapes.emplace_back(kSizes[rng.below(std::size(kSizes))], kSizes[rng.below(std::size(kSizes))]);
  }
  return shapes;
}

void OpTest::check_both(OpCase c) {
  check(c);
  c.plan_for = device().profile();
  c.plan_for->kind = runtime::DeviceKind::discrete;
  check(c);
}

void OpTest::check(const OpCase& c) {
  const OpGraph ops(c);
  OpRun all(device(), ops, c.batch, c.replicas);
  const std::uint32_t last = c.replicas - 1;
  OpRun single(device(), ops, c.batch, 1, last);
  std::vector<ReferenceMemory> memories;
  for (std::uint32_t replica = 0; replica < c.replicas; ++replica) {
    memories.push_back(reference_memory(ops, c.batch, replica));
  }
  for (std::uint32_t run = 0; run < c.runs; ++run) {
    all.run();
    single.run();
    for (std::uint32_t replica = 0; replica < c.replicas; ++replica) {
      expect_reference(c, ops, all, replica, memories[replica]);
      const std::optional<ValueId> wrong = wrong_padding(ops, all, replica);
      EXPECT_FALSE(wrong) << ops.graph.value(*wrong).name << ": wrong padding";
    }
    check_same_bits(ops, all, single, last);
  }
}

void OpTest::check_gradients(const OpCase& c) {
  const OpGraph ops(c);
  ReferenceMemory memory = reference_memory(ops, c.batch, 0);
  run_reference(ops.graph, memory);
  const auto loss_at = [&](ValueId id, std::size_t element, double shift) {
    ReferenceMemory moved = reference_memory(ops, c.batch, 0);
    moved[id][element] += shift;
    run_reference(ops.graph, moved);
    return mean(moved[ops.loss]);
  };
  for (ValueId gradient = 0; gradient < ops.graph.value_count(); ++gradient) {
    if (ops.graph.value(gradient).kind != ValueKind::gradient) continue;
    ValueId parameter = 0;
    while (ops.graph.value(parameter).kind != ValueKind::parameter ||
           ops.graph.value(parameter).parameter != ops.graph.value(gradient).parameter) {
      ++parameter;
    }
    const double scale = 1 + largest(memory[gradient]);
    for (std::size_t i = 0; i < std::min<std::size_t>(memory[gradient].size(), 6); ++i) {
      constexpr double kStep = 1e-5;
      const double difference =
          (loss_at(parameter, i, kStep) - loss_at(parameter, i, -kStep)) / (2 * kStep);
      EXPECT_NEAR(memory[gradient][i], difference, 1e-6 * scale)
          << ops.graph.value(gradient).name << " [" << i << "]";
    }
  }
}

}  // namespace vktrain::testing
