#include "nn/lowering.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>

#include "nn/loop_turns.h"
#include "runtime/error.h"

namespace vktrain::nn {

Lowering::Lowering(const Graph& graph, const ParameterLayout& parameters,
                   const runtime::DeviceProfile& device, std::int64_t batch, std::uint32_t replicas,
                   const VariantChoices* variants)
    : graph_(&graph),
      parameters_(&parameters),
      device_(&device),
      batch_(batch),
      replicas_(replicas),
      variants_(variants) {}

Layout Lowering::layout(ValueId id) const {
  return layout_of(graph_->value(id).shape.with_batch(batch_));
}

std::uint32_t Lowering::replica_stride(ValueId id) const {
  const Value& value = graph_->value(graph_->root(id));
  if (value.shared) return 0;
  switch (value.kind) {
    case ValueKind::parameter:
    case ValueKind::gradient:
      return static_cast<std::uint32_t>(parameters_->trainable_size());
    case ValueKind::state:
      return static_cast<std::uint32_t>(parameters_->state_size());
    default:
      break;
  }
  const std::int64_t stride = round_up(layout(id).size(), kAlignmentElements);
  if (stride > std::numeric_limits<std::int32_t>::max()) {
    throw Error(
        fmt::format("value {} of shape {} has {} elements, more than kernels can address; "
                    "use a smaller batch size",
                    value.name, to_string(value.shape.with_batch(batch_)), stride));
  }
  return static_cast<std::uint32_t>(stride);
}

RangePart part_of(const ParameterLayout& layout, const Value& value) {
  return {.offset = layout.offset(value.parameter),
          .elements = round_up(layout_of(value.shape).size(), kAlignmentElements)};
}

PlannedBinding Lowering::bind(ValueId id, runtime::Access access) const {
  return {.source = PlannedBinding::Source::value, .id = id, .access = access};
}

PlannedBinding Lowering::range(Range range, runtime::Access access, RangePart part) {
  return {.source = PlannedBinding::Source::range,
          .id = static_cast<std::uint32_t>(range),
          .part = part,
          .access = access};
}

std::uint32_t Lowering::scratch(std::int64_t elements) {
  scratches_.push_back(round_up(elements, kAlignmentElements));
  return static_cast<std::uint32_t>(scratches_.size() - 1);
}

PlannedBinding Lowering::scratch_binding(std::uint32_t number, runtime::Access access) const {
  return {.source = PlannedBinding::Source::scratch, .id = number, .access = access};
}

std::array<std::uint32_t, 3> Lowering::groups_for(std::int64_t items,
                                                  std::int64_t per_group) const {
  const std::int64_t groups = divide_up(items, per_group);
  const std::int64_t limit = device_->max_workgroup_count[0];
  const std::int64_t rows = divide_up(groups, limit);
  return {static_cast<std::uint32_t>(divide_up(groups, rows)), static_cast<std::uint32_t>(rows), 1};
}

void Lowering::dispatch(PlannedDispatch dispatch) {
  if (!within_loop_limit(dispatch.turns, *device_)) {
    throw Error(
        fmt::format("{}: the loops of its kernel {} take up to {} turns for a batch of {}, but {} "
                    "ends loops after {} turns, whatever is left to do; {}",
                    dispatch.label, dispatch.shader, dispatch.turns, batch_, device_->name,
                    device_->max_loop_turns, dispatch.for_fewer_turns));
  }
  dispatch.groups[2] *= replicas_;
  dispatch.flops *= replicas_;
  dispatch.bytes *= replicas_;
  dispatches_.push_back(std::move(dispatch));
}

std::size_t Lowering::choose(VariantQuestion question) {
  if (question.candidates.empty()) {
    throw std::logic_error(fmt::format("no kernel for {} of {}", question.family, question.shape));
  }
  const std::size_t chosen = variants_ ? variants_->choose(question) : 0;
  questions_.push_back(std::move(question));
  return chosen;
}

std::uint32_t reducing_workgroup(const runtime::DeviceProfile& device, std::int64_t items,
                                 std::uint32_t most) {
  constexpr std::int64_t kItems = 64;
  constexpr std::uint64_t kLeastOnCpu = 8, kMostOnCpu = 64;
  if (device.kind != runtime::DeviceKind::cpu) return most;
  const auto wanted = static_cast<std::uint64_t>(divide_up(items, kItems));
  return static_cast<std::uint32_t>(std::clamp(std::bit_ceil(wanted), kLeastOnCpu, kMostOnCpu));
}

bool reads_texels(const runtime::DeviceProfile& device) {
  constexpr std::uint64_t kLeastTexel = 4;  // bytes
  return device.kind == runtime::DeviceKind::cpu &&
         device.max_texel_elements >= device.max_storage_range / kLeastTexel &&
         device.texel_alignment <= 4 * kAlignmentElements;
}

std::string by_texels(const runtime::DeviceProfile& device, std::string_view shader) {
  return fmt::format("{}{}", shader, reads_texels(device) ? "_texels" : "");
}

}  // namespace vktrain::nn
