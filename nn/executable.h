// A graph planned for one batch size and recorded on a device, ready to be replayed.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "nn/plan.h"
#include "runtime/command_graph.h"

namespace vktrain::nn {

class Executable {
 public:
  // The graph and the storage must outlive the executable. External values that `externals` does
  // not bind get zero-filled memory of the executable's own (`memory_of` tells it).
  Executable(runtime::Device& device, const Graph& graph, ParameterStorage& storage,
             const PlanOptions& options, const std::map<ValueId, runtime::Slice>& externals = {},
             bool profile = false);

  // Replays the recording in one submission and waits for it.
  void run(std::uint32_t repeats = 1) { commands_.run(repeats); }

  const Plan& plan() const { return plan_; }
  const runtime::CommandGraph& commands() const { return commands_; }

  // Memory of any value: [replicas][replica stride] elements (one copy for a shared value).
  runtime::Slice memory_of(ValueId id) const;
  // Copies between host and device, row-major without padding, one replica. Activations are
  // readable after a run only if kept (Graph::keep or PlanOptions::keep_all).
  std::vector<float> read(ValueId id, std::uint32_t replica = 0) const;
  std::vector<std::uint32_t> read_words(ValueId id, std::uint32_t replica = 0) const;
  void write(ValueId id, std::span<const float> values, std::uint32_t replica = 0);
  void write_words(ValueId id, std::span<const std::uint32_t> words, std::uint32_t replica = 0);

 private:
  runtime::Slice slice_of(const PlannedBinding& binding, const PlannedOperation& operation) const;
  runtime::Slice placed(const Placement& placement) const;
  runtime::Slice range_slice(Range range) const;
  runtime::Slice range_part(Range range, const RangePart& part) const;
  runtime::Slice parameter_slice(const Value& value) const;
  runtime::Slice replica_slice(ValueId id, std::uint32_t replica) const;
  void add_operation(const PlannedOperation& operation);

  runtime::Device* device_;
  const Graph* graph_;
  ParameterStorage* storage_;
  ParameterLayout layout_;
  Plan plan_;
  runtime::Arena arena_;
  std::vector<runtime::Slice> activations_;  // of the plan's allocations
  std::map<ValueId, runtime::Slice> externals_;
  runtime::CommandGraph commands_;
};

}  // namespace vktrain::nn
