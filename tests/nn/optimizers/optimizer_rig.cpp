// See optimizer_rig.h.
#include "tests/nn/optimizers/optimizer_rig.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

namespace vktrain::nn {

namespace {

constexpr std::int64_t kSteps = 16;  // entries of the step table

const std::array<Shape, 14> kShapes = {
    Shape{1},       Shape{3},       Shape{64},         Shape{65},     Shape{1, 1},
    Shape{5, 1},    Shape{1, 7},    Shape{7, 3},       Shape{17, 33}, Shape{64, 64},
    Shape{130, 31}, Shape{100, 57}, Shape{3, 2, 3, 3}, Shape{2, 3, 5}};

std::vector<ValueId> declare_values(Graph& graph, const ParameterSet& set) {
  std::vector<ValueId> values;
  for (std::size_t i = 0; i < set.size(); ++i) {
    const ValueId id = graph.add_parameter(set[i]);
    values.push_back(set[i].trainable ? id : kNoValue);
  }
  return values;
}

Hyperparameters hyperparameters_of(const OptimizerConfig& config) {
  Hyperparameters hyperparameters;
  fill_hyperparameters(config, hyperparameters);
  return hyperparameters;
}

}  // namespace

std::vector<float> falling_step_table(const OptimizerConfig& config, std::uint64_t steps) {
  std::vector<float> table;
  for (std::uint64_t t = 1; t <= steps; ++t) {
    // The learning rate falls, so that a wrong table index shows.
    const double rate = config.learning_rate / (1 + 0.1 * static_cast<double>(t));
    const StepTableEntry entry = step_table_entry(config, t, rate);
    table.insert(table.end(), {entry.learning_rate, entry.bias_correction1,
                               entry.sqrt_bias_correction2, entry.reserved});
  }
  return table;
}

ParameterSet random_parameters(PhiloxRng& rng) {
  ParameterSet set;
  const std::uint32_t count = 1 + rng.below(6);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t kind = i == 0 ? 0 : rng.below(6);
    set.declare({.name = fmt::format("{}.weight", i),
                 .shape = kShapes[rng.below(kShapes.size())],
                 .trainable = kind != 5,
                 .penalised = kind != 5 && rng.below(2) == 0});
  }
  return set;
}

Tensors random_tensors(const ParameterSet& set, PhiloxRng& rng, double scale) {
  Tensors tensors(set.size());
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (!set[i].trainable) continue;
    tensors[i].resize(static_cast<std::size_t>(set[i].shape.elements()));
    for (float& value : tensors[i]) {
      value = rng.below(10) == 0 ? 0.0f : static_cast<float>(scale * rng.normal());
    }
  }
  return tensors;
}

OptimizerRig::OptimizerRig(runtime::Device& device, const ParameterSet& set,
                           const OptimizerConfig& graph_config,
                           std::span<const OptimizerConfig> replicas,
                           std::optional<runtime::DeviceKind> kind)
    : device_(&device),
      set_(set),
      replicas_(replicas.begin(), replicas.end()),
      graph_(set_),
      inputs_(add_step_inputs(graph_, kSteps)) {
  declare_values(graph_, set_);
  partials_ = add_optimizer(graph_, graph_config, inputs_);
  if (partials_ != kNoValue) graph_.keep(partials_);
  const auto count = static_cast<std::uint32_t>(replicas_.size());
  storage_ = std::make_unique<ParameterStorage>(device, set_, count, optimizer_slots(graph_config));
  PlanOptions options = {.batch = 1, .replicas = count};
  if (kind) {
    options.plan_for = device.profile();
    options.plan_for->kind = *kind;
  }
  executable_ = std::make_unique<Executable>(device, graph_, *storage_, options);
  for (std::uint32_t replica = 0; replica < count; ++replica) {
    const OptimizerConfig& config = replicas_[replica];
    std::vector<float> fill = optimizer_fill(graph_config);
    if (config.kind == OptimizerKind::adagrad) fill = optimizer_fill(config);
    storage_->initialize(replica, 1, fill);
    std::array<std::uint32_t, 32> words{};
    const Hyperparameters hyperparameters = hyperparameters_of(config);
    std::memcpy(words.data(), &hyperparameters, sizeof hyperparameters);
    executable_->write_words(inputs_.hyperparameters, words, replica);
    executable_->write(inputs_.table, falling_step_table(config, kSteps), replica);
  }
}

void OptimizerRig::set_weights(std::uint32_t replica, const Tensors& weights) {
  for (std::size_t i = 0; i < set_.size(); ++i) {
    if (set_[i].trainable) storage_->write(i, replica, weights[i]);
  }
}

void OptimizerRig::step(std::uint32_t step, std::span<const Tensors> gradients) {
  for (std::uint32_t replica = 0; replica < gradients.size(); ++replica) {
    for (std::size_t i = 0; i < set_.size(); ++i) {
      if (set_[i].trainable) storage_->write_gradient(i, replica, gradients[replica][i]);
    }
  }
  executable_->write_words(inputs_.state, std::array<std::uint32_t, 4>{step, step, 0, 0});
  executable_->run();
}

ReplicaValues OptimizerRig::values(std::uint32_t replica) const {
  ReplicaValues values;
  const std::uint32_t slots = storage_->optimizer_slots();
  values.weights.resize(set_.size());
  values.slots.assign(slots, Tensors(set_.size()));
  for (std::size_t i = 0; i < set_.size(); ++i) {
    if (!set_[i].trainable) continue;
    values.weights[i] = storage_->read(i, replica);
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
      values.slots[slot][i] = storage_->read_optimizer_state(slot, i, replica);
    }
  }
  if (partials_ != kNoValue) values.penalty_partials = executable_->read(partials_, replica);
  return values;
}

std::vector<float> OptimizerRig::padding() const {
  const ParameterLayout& layout = storage_->layout();
  const auto size = static_cast<std::size_t>(layout.trainable_size());
  std::vector<float> all(size * replicas_.size());
  device_->download(storage_->parameters().part(0, all.size() * 4),
                    std::as_writable_bytes(std::span(all)));
  std::vector<bool> used(size, false);
  for (std::size_t i = 0; i < set_.size(); ++i) {
    if (!set_[i].trainable) continue;
    const Layout own = layout_of(set_[i].shape);
    for (std::int64_t row = 0; row < own.rows; ++row) {
      const std::int64_t begin = layout.offset(i) + row * own.row_stride;
      std::fill_n(used.begin() + begin, own.columns, true);
    }
  }
  std::vector<float> padding;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!used[i % size]) padding.push_back(all[i]);
  }
  return padding;
}

ReferenceRig::ReferenceRig(const ParameterSet& set, const OptimizerConfig& config)
    : set_(set), config_(config), graph_(set_), inputs_(add_step_inputs(graph_, kSteps)) {
  members_ = declare_values(graph_, set_);
  partials_ = add_optimizer(graph_, config, inputs_);
  memory_ = std::make_unique<ReferenceMemory>(graph_, 1);
  const std::vector<float> table = falling_step_table(config, kSteps);
  (*memory_)[inputs_.table].assign(table.begin(), table.end());
  const Hyperparameters numbers = hyperparameters_of(config);
  std::array<float, 32> words{};
  std::memcpy(words.data(), &numbers, sizeof numbers);
  (*memory_)[inputs_.hyperparameters].assign(words.begin(), words.end());
}

void ReferenceRig::set_weights(const Tensors& weights) {
  for (std::size_t i = 0; i < set_.size(); ++i) {
    if (members_[i] == kNoValue) continue;
    (*memory_)[members_[i]].assign(weights[i].begin(), weights[i].end());
  }
}

void ReferenceRig::step(std::uint32_t step, const Tensors& gradients) {
  for (std::size_t i = 0; i < set_.size(); ++i) {
    if (members_[i] == kNoValue) continue;
    const ValueId slot = graph_.gradient_slot(members_[i]);
    (*memory_)[slot].assign(gradients[i].begin(), gradients[i].end());
  }
  const auto number = static_cast<double>(step);
  (*memory_)[inputs_.state] = {number, number, 0, 0};
  run_reference(graph_, *memory_);
}

const std::vector<double>& ReferenceRig::weights(std::size_t member) const {
  return (*memory_)[members_.at(member)];
}

const std::vector<double>& ReferenceRig::slot(std::uint32_t slot, std::size_t member) {
  return memory_->optimizer_state(slot, member);
}

std::vector<double> ReferenceRig::penalty_partials() const {
  if (partials_ == kNoValue) return {};
  return (*memory_)[partials_];
}

void expect_close(std::span<const float> actual, std::span<const double> expected, double floor,
                  const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  double largest = floor;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(actual[i]), expected[i], 2e-6 * largest)
        << what << ", element " << i;
  }
}

// A slot adds a new term to what it held. The two may cancel, so that roundings are of the size of
// the terms, which are at most |old| + |new|; those of earlier steps remain, decayed. (The
// difference between drivers is whether product and sum are one fma: Vulkan grants 0.5 units for
// each either way. Square roots and quotients, which Vulkan grants more, are in the weights only.)
class SlotScale {
 public:
  double at(std::size_t slot, std::size_t member, std::span<const double> values) {
    double& largest = largest_[{slot, member}];
    for (const double value : values) largest = std::max(largest, std::abs(value));
    return 2 * largest;
  }

 private:
  std::map<std::pair<std::size_t, std::size_t>, double> largest_;
};

void compare_with_reference(runtime::Device& device, const OptimizerConfig& config,
                            std::uint64_t seed, int trials, std::uint32_t steps) {
  PhiloxRng rng(seed, 1);
  for (int trial = 0; trial < trials; ++trial) {
    SCOPED_TRACE(trial);
    const ParameterSet set = random_parameters(rng);
    std::optional<runtime::DeviceKind> kind;
    if (trial % 2 == 1) kind = runtime::DeviceKind::discrete;
    OptimizerRig rig(device, set, config, std::span(&config, 1), kind);
    ReferenceRig reference(set, config);
    SlotScale scale;
    const Tensors weights = random_tensors(set, rng, 1.0);
    rig.set_weights(0, weights);
    reference.set_weights(weights);
    for (std::uint32_t step = 0; step < steps; ++step) {
      const Tensors gradients = random_tensors(set, rng, 0.5);
      rig.step(step, std::span(&gradients, 1));
      reference.step(step, gradients);
      const ReplicaValues values = rig.values(0);
      for (std::size_t i = 0; i < set.size(); ++i) {
        if (!set[i].trainable) continue;
        expect_close(values.weights[i], reference.weights(i), 0.5, "weights");
        for (std::uint32_t slot = 0; slot < values.slots.size(); ++slot) {
          const std::vector<double>& expected = reference.slot(slot, i);
          const double floor = std::max(1e-3, scale.at(slot, i, expected));
          expect_close(values.slots[slot][i], expected, floor, "slot");
        }
      }
      expect_close(values.penalty_partials, reference.penalty_partials(), 1e-9, "penalty");
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (const float value : rig.padding()) ASSERT_EQ(value, 0.0f) << "padding";
  }
}

void compare_replicas(runtime::Device& device, std::span<const OptimizerConfig> configs,
                      std::uint64_t seed) {
  PhiloxRng rng(seed, 2);
  const OptimizerConfig combined = combine_optimizers(configs);
  for (int trial = 0; trial < 4; ++trial) {
    SCOPED_TRACE(trial);
    const ParameterSet set = random_parameters(rng);
    OptimizerRig together(device, set, combined, configs);
    std::vector<std::unique_ptr<OptimizerRig>> alone;
    for (std::uint32_t replica = 0; replica < configs.size(); ++replica) {
      const Tensors weights = random_tensors(set, rng, 1.0);
      alone.push_back(
          std::make_unique<OptimizerRig>(device, set, combined, configs.subspan(replica, 1)));
      alone.back()->set_weights(0, weights);
      together.set_weights(replica, weights);
    }
    for (std::uint32_t step = 0; step < 4; ++step) {
      std::vector<Tensors> gradients;
      for (std::uint32_t replica = 0; replica < configs.size(); ++replica) {
        gradients.push_back(random_tensors(set, rng, 0.5));
        alone[replica]->step(step, std::span(&gradients.back(), 1));
      }
      together.step(step, gradients);
    }
    for (std::uint32_t replica = 0; replica < configs.size(); ++replica) {
      EXPECT_TRUE(together.values(replica) == alone[replica]->values(0)) << "replica " << replica;
    }
    for (const float value : together.padding()) ASSERT_EQ(value, 0.0f) << "padding";
  }
}

}  // namespace vktrain::nn
