// The "tiled" kernels: three implicit matrix products per group of channels, in tiles through
// shared memory; see shaders/conv2d_tiled.glsl.
#include <algorithm>

#include "nn/ops/conv2d_pass.h"

namespace vktrain::nn::conv2d_tiled {
namespace {

constexpr std::int64_t kTile = 32;   // of rows and of columns
constexpr std::int64_t kDepth = 16;  // of K at a time

// The weight gradient's K is split until there are about this many workgroups, each with at least
// kLeastDepth of K.
constexpr std::int64_t kWantedGroups = 1024;
constexpr std::int64_t kLeastDepth = 256;

std::int64_t taps(const Conv2dSizes& s) { return s.window.kernel.height * s.window.kernel.width; }

std::int64_t pixels(const Conv2dSizes& s, const Size2d& image) {
  return s.batch * image.height * image.width;
}

Conv2dGrid product(std::string_view shader, const Conv2dSizes& s, std::int64_t m, std::int64_t n,
                   std::int64_t k) {
  const std::int64_t row_tiles = divide_up(m, kTile);
  return {.shader = shader,
          .workgroups = s.groups * row_tiles * divide_up(n, kTile),
          .terms = k,
          .per_split = k,
          .m = m,
          .n = n,
          .k = k,
          .row_tiles = row_tiles};
}

}  // namespace

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dForward& o) {
  lower_conv2d(l, label, s,
               product("conv2d_tiled", s, s.out_channels / s.groups, pixels(s, s.output),
                       s.in_channels / s.groups * taps(s)),
               o);
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dDataGradientOperands& o) {
  lower_conv2d(l, label, s,
               product("conv2d_tiled", s, s.in_channels / s.groups, pixels(s, s.input),
                       s.out_channels / s.groups * taps(s)),
               o);
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dWeightGradientOperands& o) {
  Conv2dGrid grid = product("conv2d_tiled_weight_gradient", s, s.out_channels / s.groups,
                            s.in_channels / s.groups * taps(s), pixels(s, s.output));
  const std::int64_t wanted = std::max<std::int64_t>(1, kWantedGroups / grid.workgroups);
  grid.per_split = round_up(std::max(divide_up(grid.k, wanted), kLeastDepth), kDepth);
  lower_conv2d(l, label, s, grid, o);
}

}  // namespace vktrain::nn::conv2d_tiled
