#include "nn/ops/plane_walk.h"

#include <algorithm>

#include "nn/loop_turns.h"

namespace vktrain::nn::plane_walk {
namespace {

// The largest number of workgroups along y bounds the number of chunks.
std::int64_t at_least(std::int64_t chunk_rows, std::int64_t rows) {
  constexpr std::int64_t kMaxChunks = 65535;
  return std::max(chunk_rows, divide_up(rows, kMaxChunks));
}

// Long chunks leave little for the second pass, short ones keep a GPU busy.
std::int64_t chunk_rows(const runtime::DeviceProfile& device, const Layout& layout) {
  constexpr std::int64_t kMinRows = 16, kMaxRows = 64, kInvocations = 65536;
  std::int64_t rows = kMaxRows;
  if (device.kind != runtime::DeviceKind::cpu) {
    rows = std::clamp(layout.size() / 4 / kInvocations, kMinRows, kMaxRows);
  }
  return at_least(rows, layout.rows);
}

}  // namespace

Planes planes_of(const Lowering& lowering, ValueId x) {
  const Shape& shape = lowering.graph().value(x).shape;
  const Layout layout = lowering.layout(x);
  return {.rows = to_u32(layout.rows),
          .row_stride = to_u32(layout.row_stride / 4),
          .chunk_rows = to_u32(chunk_rows(lowering.device(), layout)),
          .plane = to_u32(layout.columns / shape[1]),
          .channels = to_u32(shape[1])};
}

Planes for_writing(const Planes& planes) {
  constexpr std::int64_t kRows = 8;
  Planes result = planes;
  result.chunk_rows = to_u32(at_least(kRows, planes.rows));
  return result;
}

PlannedDispatch walk(const Planes& planes, std::string shader,
                     const std::vector<std::uint32_t>& constants) {
  PlannedDispatch d;
  d.shader = std::move(shader);
  d.constants = {kElementwiseWorkgroup, planes.plane % 4 == 0 ? 1u : 0u};
  d.constants.insert(d.constants.end(), constants.begin(), constants.end());
  d.groups = {to_u32(divide_up(planes.row_stride, kElementwiseWorkgroup)), planes.chunks(), 1};
  d.turns = std::int64_t{planes.chunk_rows} + 1;
  return d;
}

PlannedDispatch per_channel(const Lowering& lowering, const Planes& planes, std::string shader,
                            std::int64_t walks) {
  const std::uint32_t workgroup = reducing_workgroup(lowering.device(), planes.most_items(), 128);
  PlannedDispatch d;
  d.shader = std::move(shader);
  d.constants = {workgroup};
  // Each walk over a channel's parts, and the sum of what the lanes have.
  d.turns = walks * (divide_up(planes.most_items(), workgroup) + 1 + lane_sum_turns(workgroup));
  d.groups = lowering.groups_for(planes.channel_stride(), 1);
  return d;
}

}  // namespace vktrain::nn::plane_walk
