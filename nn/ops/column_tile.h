// Host side of shaders/column_tile.glsl: a workgroup of 4 vec4 columns by many rows.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "nn/lowering.h"

namespace vktrain::nn {

namespace column_tile {

inline constexpr std::uint32_t kColumnLanes = 4;  // vec4

// Kernels that reduce have few workgroups: a GPU wants each as wide as the floor allows, a CPU
// driver runs it on one core and pays for each invocation at a barrier (lavapipe, batch norm of
// [512, 128], when each invocation still added up all lanes: 0.32 ms with 32, 0.37 with 64, 0.66
// with 128). Fewer lanes also mean longer chains of additions: with 32, sums of 1024 rows lose a
// bit that they keep with 64.
inline std::uint32_t workgroup(const runtime::DeviceProfile& device) {
  return device.kind == runtime::DeviceKind::cpu ? 64 : 128;
}

inline std::uint32_t row_lanes(std::uint32_t workgroup) { return workgroup / kColumnLanes; }

// Turns of an invocation's loop over its share of the rows that `row_groups` workgroups have.
inline std::int64_t row_turns(std::int64_t rows, std::int64_t row_groups, std::uint32_t workgroup) {
  return divide_up(rows, row_groups * row_lanes(workgroup)) + 1;
}

inline std::uint32_t column_groups(const Layout& layout) {
  return static_cast<std::uint32_t>(divide_up(layout.row_stride / 4, kColumnLanes));
}

// Groups of an elementwise kernel whose tiles stride over the rows, about 4 rows an invocation.
inline std::array<std::uint32_t, 3> elementwise_groups(const Layout& layout,
                                                       std::uint32_t workgroup) {
  const std::int64_t rows_per_group = 4 * workgroup / kColumnLanes;
  const std::int64_t row_groups = divide_up(layout.rows, rows_per_group);
  return {column_groups(layout),
          static_cast<std::uint32_t>(std::min<std::int64_t>(row_groups, 65535)), 1};
}

}  // namespace column_tile

}  // namespace vktrain::nn
