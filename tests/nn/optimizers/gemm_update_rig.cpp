// See gemm_update_rig.h.
#include "tests/nn/optimizers/gemm_update_rig.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <optional>
#include <utility>

#include "nn/optimizers/gemm_update.h"
#include "tests/nn/optimizers/optimizer_rig.h"

namespace vktrain::testing {

using namespace nn;

namespace {

constexpr std::int64_t kEntries = 8;  // of the step table

UpdateValues build(Graph& graph, const UpdateCase& c) {
  UpdateValues values;
  values.step = add_step_inputs(graph, kEntries);
  values.dy = graph.add_external("dy", {kBatch, c.out}, DType::f32, false);
  values.x = graph.add_external("x", {kBatch, c.in}, DType::f32, false);
  OptimizerValues own = {.step = values.step, .parameters = {}, .gradients = {}}, rest = own;
  const auto declare = [&](OptimizerValues& of, const char* name, const Shape& shape) {
    const ValueId id = graph.add_parameter({.name = name, .shape = shape});
    values.parameters.push_back(id);
    of.parameters.push_back(id);
    of.gradients.push_back(graph.gradient_slot(id));
    return of.gradients.back();
  };
  declare(rest, "front", {5, 7});
  declare(own, "weight", {c.out, c.in});
  declare(rest, "between", {3, 6});
  const ValueId bias_gradient =
      c.bias ? declare(c.own_bias ? own : rest, "bias", {c.out}) : kNoValue;
  declare(rest, "behind", {9, 3});
  const OptimizerConfig config = combine_optimizers(c.replicas);
  graph.add(std::make_unique<GemmUpdate>(values.dy, values.x, bias_gradient,
                                         make_optimizer(config, std::move(own))));
  if (c.others) graph.add(make_optimizer(config, std::move(rest)));
  set_precision(graph, c.precision);
  return values;
}

}  // namespace

UpdateGraph::UpdateGraph(const UpdateCase& c) : c_(c), ops_(operation_case()) {}

OpCase UpdateGraph::operation_case() {
  OpCase c;
  c.batch = c_.batch;
  c.replicas = static_cast<std::uint32_t>(c_.replicas.size());
  c.kernel = c_.kernel;
  c.optimizer_fill = optimizer_fill(combine_optimizers(c_.replicas));
  c.build_whole = [this](Graph& graph) { values_ = build(graph, c_); };
  c.fill = [this](const Value& value, std::size_t, std::uint32_t replica,
                  PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name == "step_table")
      return words_of(falling_step_table(c_.replicas[replica], kEntries));
    if (value.name != "hyperparameters") return std::nullopt;
    const auto words = hyperparameters(replica);
    return std::vector<std::uint32_t>(words.begin(), words.end());
  };
  return c;
}

std::array<std::uint32_t, 32> UpdateGraph::hyperparameters(std::uint32_t replica) const {
  Hyperparameters numbers;
  fill_hyperparameters(c_.replicas[replica], numbers);
  return std::bit_cast<std::array<std::uint32_t, 32>>(numbers);
}

// Quarters of small integers, whose sums of products are exact in any order: what differs is the
// update. Mixed precision gets numbers that it rounds.
std::vector<std::uint32_t> UpdateGraph::operand(std::int64_t count, PhiloxRng& rng) const {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    const bool exact = c_.exact && c_.precision == Precision::f32;
    value = exact ? 0.25f * (static_cast<float>(rng.below(5)) - 2)
                  : static_cast<float>(0.25 * rng.normal());
  }
  return words_of(values);
}

// The entry of the table is another number than the step.
std::map<ValueId, std::vector<std::uint32_t>> UpdateGraph::inputs(std::uint32_t step,
                                                                  std::uint32_t replica) const {
  PhiloxRng rng(100 + step, replica);
  std::map<ValueId, std::vector<std::uint32_t>> words;
  words[values_.step.state] = {step, step + 2, 0, 0};
  words[values_.dy] = operand(c_.batch * c_.out, rng);
  words[values_.x] = operand(c_.batch * c_.in, rng);
  return words;
}

void UpdateGraph::step(OpRun& run, std::uint32_t step, std::uint32_t first,
                       std::uint32_t replicas) const {
  for (std::uint32_t replica = 0; replica < replicas; ++replica) {
    for (const auto& [id, words] : inputs(step, first + replica)) run.write(id, words, replica);
  }
  run.run();
}

ReferenceMemory UpdateGraph::reference(std::uint32_t replica) const {
  ReferenceMemory memory = reference_memory(ops_, c_.batch, replica);
  const auto numbers = std::bit_cast<std::array<float, 32>>(hyperparameters(replica));
  memory[values_.step.hyperparameters].assign(numbers.begin(), numbers.end());
  return memory;
}

void UpdateGraph::step(ReferenceMemory& memory, std::uint32_t step, std::uint32_t replica) const {
  for (const auto& [id, words] : inputs(step, replica)) {
    const bool integers = id == values_.step.state;
    std::ranges::transform(words, memory[id].begin(), [integers](std::uint32_t word) {
      return integers ? word : static_cast<double>(std::bit_cast<float>(word));
    });
  }
  run_reference(ops_.graph, memory);
}

std::vector<std::vector<float>> UpdateGraph::results(const OpRun& run,
                                                     std::uint32_t replica) const {
  std::vector<std::vector<float>> all;
  for (const ValueId id : values_.parameters) all.push_back(run.floats(id, replica));
  for (std::uint32_t slot = 0; slot < run.storage().optimizer_slots(); ++slot) {
    for (std::size_t member = 0; member < values_.parameters.size(); ++member) {
      all.push_back(run.storage().read_optimizer_state(slot, member, replica));
    }
  }
  return all;
}

void UpdateGraph::expect_reference(const OpRun& run, std::uint32_t replica,
                                   ReferenceMemory& memory) const {
  const std::vector<std::vector<float>> found = results(run, replica);
  const std::vector<ValueId>& ids = values_.parameters;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::size_t member = i % ids.size();
    const bool state = i >= ids.size();
    const auto slot = static_cast<std::uint32_t>(state ? i / ids.size() - 1 : 0);
    const std::string what = fmt::format("{}{} of replica {}", ops_.parameters[member].name,
                                         state ? fmt::format(", slot {}", slot) : "", replica);
    const std::vector<double>& expected =
        state ? memory.optimizer_state(slot, member) : memory[ids[member]];
    expect_close(found[i], expected, state ? 1e-3 : 0.5, what.c_str());
  }
  for (const ValueId id : ids) {
    const std::vector<std::uint32_t> padding = run.padding(id, replica);
    EXPECT_EQ(padding, std::vector<std::uint32_t>(padding.size())) << "padding";
  }
}

std::vector<std::string> shaders(const OpRun& run) {
  std::vector<std::string> names;
  for (const PlannedOperation& operation : run.plan().operations()) {
    for (const PlannedDispatch& dispatch : operation.dispatches) names.push_back(dispatch.shader);
  }
  return names;
}

}  // namespace vktrain::testing
