// The "depthwise" kernels: direct sums for convolutions with one input channel per group; see
// shaders/conv2d_depthwise.glsl.
#include <algorithm>

#include "nn/loop_turns.h"
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

// `kernels`: of the output channels that a result sums over.
Conv2dGrid grid_of(const Conv2dSizes& s, std::int64_t channels, const Size2d& plane,
                   std::int64_t kernels) {
  constexpr std::int64_t kStores = 14;  // of four values twice, and of the padding
  const std::int64_t kernel_turns = s.window.kernel.height * (s.window.kernel.width + 2) + 1;
  return {.shader = "conv2d_depthwise",
          .workgroups = channels * divide_up(s.batch * quads(plane), kWorkgroup),
          .turns = kernels * (kernel_turns + 1) + 1 + kStores};
}

// Of the weight gradient, over quads of dy: lanes take one each. Then their sums are added up, a
// vec4 at a time, and a row of the kernel and the padding are stored.
LoopTurns quad_turns(const Conv2dSizes& s) {
  constexpr std::int64_t kPadding = 8;
  const std::int64_t width = s.window.kernel.width;
  return {.step = kWorkgroup,
          .others = 1 + (width / 4 + 1) * lane_sum_turns(kWorkgroup) + width + 1 + kPadding};
}

}  // namespace

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dForward& o) {
  lower_conv2d(l, label, s, grid_of(s, s.out_channels, s.output, 1), o);
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dDataGradientOperands& o) {
  lower_conv2d(l, label, s, grid_of(s, s.in_channels, s.input, s.out_channels / s.groups), o);
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dWeightGradientOperands& o) {
  const std::int64_t workgroups = s.out_channels * s.window.kernel.height;
  const std::int64_t wanted = std::max<std::int64_t>(1, kWantedGroups / workgroups);
  const LoopTurns turns = quad_turns(s);
  const std::int64_t most = turns.most_terms(l.device()) / quads(s.output);
  const std::int64_t images =
      std::min(std::max(divide_up(s.batch, wanted), divide_up(kLeastQuads, quads(s.output))),
               std::max<std::int64_t>(1, most));
  lower_conv2d(l, label, s,
               {.shader = "conv2d_depthwise_weight_gradient",
                .workgroups = workgroups,
                .terms = s.batch,
                .per_split = images,
                .turns = turns.of(images * quads(s.output))},
               o);
}

}  // namespace vktrain::nn::conv2d_depthwise
