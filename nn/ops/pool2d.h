// What the pooling operations share: their sizes, checked, and the constants of their kernels
// (shaders/pool2d.glsl).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/graph.h"
#include "nn/lowering.h"
#include "nn/ops/window2d.h"

namespace vktrain::nn {

struct Pool2dSizes {
  Window2d window;
  std::int64_t channels = 0;
  Size2d input;
  Size2d output;

  bool operator==(const Pool2dSizes&) const = default;
};

// H x W of x [batch, C, H, W]. Throws Error, starting with `subject`, for another rank.
Size2d pool2d_plane(const Graph& graph, ValueId x, const std::string& subject);

// Of a pooling of x [batch, C, H, W]. Throws Error, starting with `subject`, for another rank, a
// window that does not fit (output_size), or a window with nothing but padding.
Pool2dSizes pool2d_sizes(const Graph& graph, ValueId x, const Window2d& window,
                         const std::string& subject);

// By tiles of 2 x 2 that cover an input of even height and width.
Pool2dSizes tiling(std::int64_t channels, Size2d input);

// Whether it is such a tiling.
bool is_tiling(const Pool2dSizes& sizes);

// [batch, C, OH, OW]
Shape pool2d_shape(const Pool2dSizes& sizes);

// Specialization constants from 0: the size of a workgroup, then those of shaders/pool2d.glsl, then
// those of the kernel at hand.
std::vector<std::uint32_t> pool2d_constants(const Pool2dSizes& sizes,
                                            const std::vector<std::uint32_t>& more = {});

// Sets the turns of an invocation's loops over the windows of its elements: of one window
// forwards, of those that cover an input element backwards.
void set_forward_turns(PlannedDispatch& dispatch, const Pool2dSizes& sizes);
void set_backward_turns(PlannedDispatch& dispatch, const Pool2dSizes& sizes);

// Mirrors shaders/pool2d_forward.glsl; the strides of replicas in elements.
struct Pool2dForwardPush {
  std::uint32_t count, x_replica, y_replica;
};

// Mirrors shaders/pool2d_backward.glsl.
struct Pool2dBackwardPush {
  std::uint32_t count, dy_replica, dx_replica;
};

}  // namespace vktrain::nn
