// The "depthwise" kernels: direct sums for convolutions with one input channel per group; see
// shaders/conv2d_depthwise.glsl.
#include <algorithm>

#include "nn/ops/conv2d_pass.h"

namespace vktrain::nn::conv2d_depthwise {
namespace {

constexpr std::int64_t kWorkgroup = 64;  // invocations

// The batch is split until the weight gradient has about this many workgroups, each with at least
// kLeastQuads of dy.
constexpr std::int64_t kWantedGroups = 1024;
constexpr std::int64_t kLeastQuads = 512;

// Of an image plane: 4 columns of a row each.
std::int64_t quads(const Size2d& plane) { return plane.height * divide_up(plane.width, 4); }

Conv2dGrid grid_of(const Conv2dSizes& s, std::int64_t channels, const Size2d& plane) {
  return {.shader = "conv2d_depthwise",
          .workgroups = channels * divide_up(s.batch * quads(plane), kWorkgroup)};
}

}  // namespace

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dForward& o) {
  lower_conv2d(l, label, s, grid_of(s, s.out_channels, s.output), o);
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dDataGradientOperands& o) {
  lower_conv2d(l, label, s, grid_of(s, s.in_channels, s.input), o);
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dWeightGradientOperands& o) {
  const std::int64_t workgroups = s.out_channels * s.window.kernel.height;
  const std::int64_t wanted = std::max<std::int64_t>(1, kWantedGroups / workgroups);
  const std::int64_t images =
      std::max(divide_up(s.batch, wanted), divide_up(kLeastQuads, quads(s.output)));
  lower_conv2d(l, label, s,
               {.shader = "conv2d_depthwise_weight_gradient",
                .workgroups = workgroups,
                .terms = s.batch,
                .per_split = images},
               o);
}

}  // namespace vktrain::nn::conv2d_depthwise
