// What the tiled and the depthwise kernels have in common on the host's side: operands, push
// constants (shaders/conv2d.glsl) and specialization constants. The kernels differ in their grids.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "nn/lowering.h"
#include "nn/ops/conv2d_variants.h"

namespace vktrain::nn {

// How a kernel family runs one pass.
struct Conv2dGrid {
  std::string_view shader;
  std::uint32_t workgroup = 64;               // invocations
  std::vector<std::uint32_t> constants = {};  // from id 14 on
  std::int64_t workgroups = 0;                // of one replica and split
  // Terms of the weight gradient's sum for each split; all of them in one: no second pass.
  std::int64_t terms = 1;
  std::int64_t per_split = 1;
  std::int64_t turns = 0;  // PlannedDispatch::turns
  // Matrix product of a group of channels; 0 where the kernel makes none.
  std::int64_t m = 0, n = 0, k = 0, row_tiles = 0;
};

inline void append_constants(std::vector<std::uint32_t>& constants,
                             std::initializer_list<std::int64_t> values) {
  for (const std::int64_t value : values) constants.push_back(to_u32(value));
}

// Appends the specialization constants 4 to 11 (shaders/window2d.glsl) to the four before them; the
// "rows" kernels have them, too.
inline void append_constants(std::vector<std::uint32_t>& constants, const Window2d& w) {
  append_constants(constants, {w.kernel.height, w.kernel.width, w.stride.height, w.stride.width,
                               w.padding_begin.height, w.padding_begin.width, w.dilation.height,
                               w.dilation.width});
}

void lower_conv2d(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dGrid& grid,
                  const Conv2dForward& o);
void lower_conv2d(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dGrid& grid,
                  const Conv2dDataGradientOperands& o);
// With the second pass where there are several splits.
void lower_conv2d(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dGrid& grid,
                  const Conv2dWeightGradientOperands& o);

}  // namespace vktrain::nn
