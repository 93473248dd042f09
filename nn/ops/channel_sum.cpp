#include "nn/ops/channel_sum.h"

#include <fmt/format.h>

#include "nn/reference/channel_sum.h"
#include "nn/reference/reference_memory.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/channel_sum_partial.comp.
struct PartialPush {
  plane_walk::Planes planes;
  std::uint32_t x_replica, parts_replica;
};

// Mirrors shaders/channel_sum_finish.comp.
struct FinishPush {
  plane_walk::Planes planes;
  std::uint32_t parts_replica, sum_replica, second_sum_replica, sums;
};

}  // namespace

void ChannelSum::lower(Lowering& l) const {
  const plane_walk::Planes planes = plane_walk::planes_of(l, x());
  const std::uint32_t parts = l.scratch(planes.part_size());
  PlannedDispatch d = plane_walk::walk(planes, "channel_sum_partial");
  d.label = fmt::format("{} channel_sum", label);
  d.bindings = {l.read(x()), l.scratch_binding(parts, runtime::Access::write)};
  d.push = push_bytes(PartialPush{planes, l.replica_stride(x()) / 4,
                                  plane_walk::scratch_stride(planes.part_size()) / 4});
  d.flops = static_cast<double>(planes.size());
  d.bytes = bytes_of(planes.size() + planes.part_size());
  l.dispatch(std::move(d));
  sum_channel_parts(l, planes, {parts, sum()}, fmt::format("{} channel_sum second pass", label));
}

void ChannelSum::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(x());
  reference::channel_sum(shape[0], shape[1], shape.elements_per_row() / shape[1], memory[x()],
                         memory[sum()]);
}

void sum_channel_parts(Lowering& l, const plane_walk::Planes& planes, const ChannelParts& first,
                       std::string label, const std::optional<ChannelParts>& second) {
  // Without a second sum the shader does not touch the last two.
  const ChannelParts& other = second ? *second : first;
  const std::int64_t sums = second ? 2 : 1;
  PlannedDispatch d = plane_walk::per_channel(l, planes, "channel_sum_finish", 1);
  d.label = std::move(label);
  constexpr std::uint32_t kWholeVec4 = 0;  // which the shader does not look at
  d.constants.insert(d.constants.end(), {kWholeVec4, second ? 1u : 0u});
  d.bindings = {l.scratch_binding(first.parts, runtime::Access::read), l.write(first.sum),
                l.scratch_binding(other.parts, runtime::Access::read), l.write(other.sum)};
  d.push = push_bytes(FinishPush{planes, plane_walk::scratch_stride(planes.part_size()) / 4,
                                 l.replica_stride(first.sum), l.replica_stride(other.sum),
                                 to_u32(planes.channel_stride())});
  d.flops = static_cast<double>(sums * planes.part_size());
  d.bytes = bytes_of(sums * (planes.part_size() + planes.channel_stride()));
  l.dispatch(std::move(d));
}

}  // namespace vktrain::nn
