// The static plan of a graph for one batch size: every activation that a dispatch reads or writes a
// slice of an arena, placed by liveness; every operation its dispatches. Pure computation, no
// device memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "nn/graph.h"
#include "nn/lowering.h"

namespace vktrain::nn {

struct PlanOptions {
  std::int64_t batch = 1;
  std::uint32_t replicas = 1;
  bool keep_all = false;  // every value has memory of its own, so that tests can read it
  // Whose kernels and limits to plan for, instead of the device that will run the plan.
  std::optional<runtime::DeviceProfile> plan_for = std::nullopt;
  // Tuned kernels; null: the device profile's proposals.
  std::shared_ptr<const VariantChoices> variants = nullptr;
};

// Offsets and sizes in elements; replicas included.
struct Placement {
  std::int64_t offset = -1;  // -1: not in the arena, or no dispatch wants it
  std::int64_t size = 0;
  std::size_t allocation = 0;  // of the arena, which holds it whole
};

struct PlannedOperation {
  std::vector<PlannedDispatch> dispatches;
  std::vector<VariantChoices::Key> asked;  // the questions whose answers decided the dispatches
  std::vector<Placement> scratches;
};

class Plan {
 public:
  // Throws Error when a value or an operation's scratch memory needs a larger storage range or
  // allocation than the device has; the message names it and the batch size.
  Plan(const Graph& graph, const ParameterLayout& parameters, const runtime::DeviceProfile& device,
       const PlanOptions& options);

  // Throws Error when a dispatch has more workgroups than the device runs in one: replicas share z.
  // Apart from planning, as a tuner plans with kernels that it then replaces.
  void check_workgroups(const runtime::DeviceProfile& device) const;

  const PlanOptions& options() const { return options_; }
  const std::vector<PlannedOperation>& operations() const { return operations_; }
  const Placement& placement(ValueId id) const { return values_.at(id); }
  // Elements of each allocation of the arena, of which a small one has one.
  std::span<const std::int64_t> allocations() const { return allocations_; }
  std::int64_t arena_size() const;                           // elements
  std::int64_t lower_bound() const { return lower_bound_; }  // largest sum of live values
  std::size_t dispatch_count() const;
  // What the operations asked, each question once.
  std::span<const VariantQuestion> questions() const { return questions_; }

 private:
  std::vector<bool> used_values(const Graph& graph) const;
  void place(const Graph& graph, const Lowering& layouts, std::uint64_t max_allocation);
  void add_question(VariantQuestion question);

  PlanOptions options_;
  std::vector<PlannedOperation> operations_;
  std::vector<VariantQuestion> questions_;
  std::vector<Placement> values_;
  std::vector<std::int64_t> allocations_;
  std::int64_t lower_bound_ = 0;
};

}  // namespace vktrain::nn
