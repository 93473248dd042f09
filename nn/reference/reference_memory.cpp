#include "nn/reference/reference_memory.h"

#include "nn/operation.h"

namespace vktrain::nn {

ReferenceMemory::ReferenceMemory(const Graph& graph, std::int64_t batch)
    : graph_(&graph), batch_(batch), values_(graph.value_count()) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    values_[id].assign(static_cast<std::size_t>(shape(id).elements()), 0.0);
  }
}

Shape ReferenceMemory::shape(ValueId id) const {
  return graph_->value(id).shape.with_batch(batch_);
}

std::span<const double> ReferenceMemory::optional(ValueId id) const {
  if (id == kNoValue) return {};
  return values_.at(id);
}

std::vector<double>& ReferenceMemory::optimizer_state(std::uint32_t slot, std::size_t parameter) {
  if (optimizer_state_.size() <= slot) optimizer_state_.resize(slot + 1);
  auto& members = optimizer_state_[slot];
  if (members.size() <= parameter) members.resize(parameter + 1);
  auto& state = members[parameter];
  if (state.empty()) {
    const Shape& shape = graph_->parameters()[parameter].shape;
    state.assign(static_cast<std::size_t>(shape.elements()), 0.0);
  }
  return state;
}

void run_reference(const Graph& graph, ReferenceMemory& memory) {
  for (const auto& operation : graph.operations()) operation->reference(memory);
}

}  // namespace vktrain::nn
