// A graph that holds nothing but an optimizer, over random parameters and gradients of the test's
// choosing: on the device for several replicas, and the same in double.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "nn/executable.h"
#include "nn/optimizers/optimizer.h"
#include "nn/parameters.h"
#include "nn/reference/reference_memory.h"
#include "nn/rng.h"

namespace vktrain::nn {

// One to six members of odd shapes; some penalised, some states among them.
ParameterSet random_parameters(PhiloxRng& rng);

// Entries of `steps` steps whose learning rate falls.
std::vector<float> falling_step_table(const OptimizerConfig& config, std::uint64_t steps);

// [member] -> values; empty for states. Some are exactly 0.
using Tensors = std::vector<std::vector<float>>;
Tensors random_tensors(const ParameterSet& set, PhiloxRng& rng, double scale);

// Everything that a replica has after a step, for comparisons bit by bit.
struct ReplicaValues {
  Tensors weights;
  std::vector<Tensors> slots;
  std::vector<float> penalty_partials;

  bool operator==(const ReplicaValues&) const = default;
};

class OptimizerRig {
 public:
  // `graph_config` chooses the code paths; `replicas` gives each replica's numbers.
  // `kind`: of the device whose kernels are taken.
  OptimizerRig(runtime::Device& device, const ParameterSet& set,
               const OptimizerConfig& graph_config, std::span<const OptimizerConfig> replicas,
               std::optional<runtime::DeviceKind> kind = std::nullopt);

  void set_weights(std::uint32_t replica, const Tensors& weights);
  // Runs step `step` (from 0) with these gradients [replica].
  void step(std::uint32_t step, std::span<const Tensors> gradients);
  ReplicaValues values(std::uint32_t replica) const;
  // All that was planned for the penalty partials: [replicas][64 or a multiple].
  runtime::Slice penalty_memory() const { return executable_->memory_of(partials_); }
  // Elements of the parameter range, of all replicas, that belong to no member.
  std::vector<float> padding() const;

 private:
  runtime::Device* device_;
  ParameterSet set_;
  std::vector<OptimizerConfig> replicas_;
  Graph graph_;
  StepInputs inputs_;
  ValueId partials_ = kNoValue;
  std::unique_ptr<ParameterStorage> storage_;
  std::unique_ptr<Executable> executable_;
};

class ReferenceRig {
 public:
  ReferenceRig(const ParameterSet& set, const OptimizerConfig& config);

  void set_weights(const Tensors& weights);
  void step(std::uint32_t step, const Tensors& gradients);
  const std::vector<double>& weights(std::size_t member) const;
  const std::vector<double>& slot(std::uint32_t slot, std::size_t member);
  std::vector<double> penalty_partials() const;

 private:
  ParameterSet set_;
  OptimizerConfig config_;
  Graph graph_;
  StepInputs inputs_;
  ValueId partials_ = kNoValue;
  std::vector<ValueId> members_;  // kNoValue for states
  std::unique_ptr<ReferenceMemory> memory_;
};

// Fails the test where `actual` is further from `expected` than float rounding explains: 2e-6 of
// the tensor's largest value (at least `floor`).
void expect_close(std::span<const float> actual, std::span<const double> expected, double floor,
                  const char* what);

// `trials` random parameter sets and `steps` steps: one replica on the device against the
// reference, and padding that stays 0. Every second one by the kernels for GPUs.
void compare_with_reference(runtime::Device& device, const OptimizerConfig& config,
                            std::uint64_t seed, int trials = 12, std::uint32_t steps = 6);

// Three replicas of one plan against the three single runs, bit by bit.
void compare_replicas(runtime::Device& device, std::span<const OptimizerConfig> configs,
                      std::uint64_t seed);

}  // namespace vktrain::nn
