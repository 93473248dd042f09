#include "nn/executable.h"

#include <fmt/format.h>

#include <stdexcept>

#include "nn/row_padding.h"

namespace vktrain::nn {
namespace {

constexpr std::uint64_t kWord = 4;  // bytes per element

}  // namespace

Executable::Executable(runtime::Device& device, const Graph& graph, ParameterStorage& storage,
                       const PlanOptions& options,
                       const std::map<ValueId, runtime::Slice>& externals, bool profile)
    : device_(&device),
      graph_(&graph),
      storage_(&storage),
      layout_(storage.layout()),
      plan_(graph, layout_, device.profile(), options),
      arena_(device, "activations"),
      externals_(externals),
      commands_(device, profile) {
  plan_.check_workgroups(device.profile());
  for (const std::int64_t size : plan_.allocations()) {
    activations_.push_back(arena_.allocate(static_cast<std::uint64_t>(size) * kWord,
                                           fmt::format("activations {}", activations_.size())));
  }
  const Lowering layouts(graph, layout_, device.profile(), options.batch, options.replicas);
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (value.kind != ValueKind::external || externals_.contains(id)) continue;
    const std::uint64_t one =
        static_cast<std::uint64_t>(round_up(layouts.layout(id).size(), kAlignmentElements));
    externals_[id] =
        arena_.allocate(one * kWord * (value.shared ? 1 : options.replicas), value.name);
  }
  for (const PlannedOperation& operation : plan_.operations()) add_operation(operation);
  commands_.record();
}

void Executable::add_operation(const PlannedOperation& operation) {
  for (const PlannedDispatch& planned : operation.dispatches) {
    runtime::Dispatch dispatch;
    dispatch.label = planned.label;
    dispatch.kernel = {planned.shader, planned.constants};
    dispatch.push = planned.push;
    dispatch.groups = planned.groups;
    dispatch.flops = planned.flops;
    dispatch.bytes = planned.bytes;
    for (const PlannedBinding& binding : planned.bindings) {
      dispatch.bindings.push_back({slice_of(binding, operation), binding.access, binding.texels});
    }
    commands_.add(std::move(dispatch));
  }
}

runtime::Slice Executable::slice_of(const PlannedBinding& binding,
                                    const PlannedOperation& operation) const {
  if (binding.source == PlannedBinding::Source::scratch) {
    return placed(operation.scratches.at(binding.id));
  }
  if (binding.source == PlannedBinding::Source::value) return memory_of(binding.id);
  return range_part(static_cast<Range>(binding.id), binding.part);
}

runtime::Slice Executable::placed(const Placement& placement) const {
  return activations_.at(placement.allocation)
      .part(static_cast<std::uint64_t>(placement.offset) * kWord,
            static_cast<std::uint64_t>(placement.size) * kWord);
}

runtime::Slice Executable::range_part(Range range, const RangePart& part) const {
  const runtime::Slice whole = range_slice(range);
  if (part.elements == 0) return whole;
  const std::int64_t stride =
      range == Range::states ? layout_.state_size() : layout_.trainable_size();
  const std::int64_t copies =
      range == Range::optimizer_states
          ? std::int64_t{plan_.options().replicas} * storage_->optimizer_slots()
          : plan_.options().replicas;
  const std::int64_t size = stride * (copies - 1) + part.elements;
  return whole.part(static_cast<std::uint64_t>(part.offset) * kWord,
                    static_cast<std::uint64_t>(size) * kWord);
}

runtime::Slice Executable::range_slice(Range range) const {
  switch (range) {
    case Range::parameters:
      return storage_->parameters();
    case Range::gradients:
      return storage_->gradients();
    case Range::states:
      return storage_->states();
    case Range::optimizer_state_0:
      return storage_->optimizer_state(0);
    case Range::optimizer_state_1:
      return storage_->optimizer_state(1);
    case Range::optimizer_states:
      return storage_->optimizer_states();
  }
  throw std::logic_error("unknown range");
}

runtime::Slice Executable::parameter_slice(const Value& value) const {
  const Range range = value.kind == ValueKind::state      ? Range::states
                      : value.kind == ValueKind::gradient ? Range::gradients
                                                          : Range::parameters;
  return range_part(range, part_of(layout_, value));
}

runtime::Slice Executable::memory_of(ValueId view) const {
  const ValueId id = graph_->root(view);
  const Value& value = graph_->value(id);
  switch (value.kind) {
    case ValueKind::external:
      return externals_.at(id);
    case ValueKind::activation: {
      const Placement& placement = plan_.placement(id);
      if (placement.offset < 0) throw std::invalid_argument(value.name + " has no memory");
      return placed(placement);
    }
    default:
      return parameter_slice(value);
  }
}

runtime::Slice Executable::replica_slice(ValueId id, std::uint32_t replica) const {
  const Lowering layouts(*graph_, layout_, device_->profile(), plan_.options().batch,
                         plan_.options().replicas);
  const std::uint64_t offset = std::uint64_t{layouts.replica_stride(id)} * replica * kWord;
  return memory_of(id).part(offset, static_cast<std::uint64_t>(layouts.layout(id).size()) * kWord);
}

std::vector<float> Executable::read(ValueId id, std::uint32_t replica) const {
  const Layout layout = layout_of(graph_->value(id).shape.with_batch(plan_.options().batch));
  std::vector<float> padded(static_cast<std::size_t>(layout.size()));
  device_->download(replica_slice(id, replica), std::as_writable_bytes(std::span(padded)));
  return unpad_rows(std::span<const float>(padded), layout);
}

std::vector<std::uint32_t> Executable::read_words(ValueId id, std::uint32_t replica) const {
  const Layout layout = layout_of(graph_->value(id).shape.with_batch(plan_.options().batch));
  std::vector<std::uint32_t> padded(static_cast<std::size_t>(layout.size()));
  device_->download(replica_slice(id, replica), std::as_writable_bytes(std::span(padded)));
  return unpad_rows(std::span<const std::uint32_t>(padded), layout);
}

void Executable::write(ValueId id, std::span<const float> values, std::uint32_t replica) {
  const Layout layout = layout_of(graph_->value(id).shape.with_batch(plan_.options().batch));
  const std::vector<float> padded = pad_rows(values, layout);
  device_->upload(replica_slice(id, replica), std::as_bytes(std::span(padded)));
}

void Executable::write_words(ValueId id, std::span<const std::uint32_t> words,
                             std::uint32_t replica) {
  const Layout layout = layout_of(graph_->value(id).shape.with_batch(plan_.options().batch));
  const std::vector<std::uint32_t> padded = pad_rows(words, layout);
  device_->upload(replica_slice(id, replica), std::as_bytes(std::span(padded)));
}

}  // namespace vktrain::nn
