#include "nn/ops/pool2d.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/error.h"

namespace vktrain::nn {
namespace {

struct Dimension {
  std::int64_t kernel, stride, padding, dilation, input, output;
};

Dimension height_of(const Pool2dSizes& s) {
  return {s.window.kernel.height,   s.window.stride.height, s.window.padding_begin.height,
          s.window.dilation.height, s.input.height,         s.output.height};
}

Dimension width_of(const Pool2dSizes& s) {
  return {s.window.kernel.width,   s.window.stride.width, s.window.padding_begin.width,
          s.window.dilation.width, s.input.width,         s.output.width};
}

bool meets_input(const Dimension& d, std::int64_t output) {
  for (std::int64_t k = 0; k < d.kernel; ++k) {
    const std::int64_t i = output * d.stride - d.padding + k * d.dilation;
    if (i >= 0 && i < d.input) return true;
  }
  return false;
}

bool all_meet_input(const Dimension& d) {
  for (std::int64_t output = 0; output < d.output; ++output) {
    if (!meets_input(d, output)) return false;
  }
  return true;
}

bool leaves_input(const Dimension& d) {
  const std::int64_t last = (d.output - 1) * d.stride - d.padding + d.dilation * (d.kernel - 1);
  return d.padding > 0 || last >= d.input;
}

// How many windows can cover an input element.
std::int64_t cover(const Dimension& d) {
  return (d.dilation * (d.kernel - 1) + d.stride) / d.stride;
}

// `elements`: of a row; an invocation has four of them.
void set_turns(PlannedDispatch& dispatch, std::int64_t elements, std::int64_t rows,
               std::int64_t columns) {
  dispatch.turns = std::min<std::int64_t>(elements, 4) * (rows * (1 + columns + 1) + 1);
  dispatch.for_fewer_turns = "use a smaller window, such as two poolings one after the other";
}

}  // namespace

void set_forward_turns(PlannedDispatch& dispatch, const Pool2dSizes& sizes) {
  set_turns(dispatch, sizes.channels * sizes.output.height * sizes.output.width,
            sizes.window.kernel.height, sizes.window.kernel.width);
}

void set_backward_turns(PlannedDispatch& dispatch, const Pool2dSizes& sizes) {
  set_turns(dispatch, sizes.channels * sizes.input.height * sizes.input.width,
            cover(height_of(sizes)), cover(width_of(sizes)));
}

Size2d pool2d_plane(const Graph& graph, ValueId x, const std::string& subject) {
  const Shape shape = graph.value(x).shape;
  if (shape.rank() == 4) return {shape[2], shape[3]};
  throw Error(fmt::format(
      "{}: expected an input of shape [batch, channels, height, width], found {}; pooling goes "
      "before the layer that flattens",
      subject, to_string(shape)));
}

Pool2dSizes pool2d_sizes(const Graph& graph, ValueId x, const Window2d& window,
                         const std::string& subject) {
  const Size2d plane = pool2d_plane(graph, x, subject);
  Pool2dSizes sizes{window, graph.value(x).shape[1], plane, {}};
  sizes.output = output_size(window, sizes.input, subject);
  if (!all_meet_input(height_of(sizes)) || !all_meet_input(width_of(sizes))) {
    throw Error(fmt::format(
        "{}: with padding of {} and {} around an input of {}, a window (kernel {}, dilation {}) "
        "would see nothing but padding; pad less than the kernel's size",
        subject, to_string(window.padding_begin), to_string(window.padding_end),
        to_string(sizes.input), to_string(window.kernel), to_string(window.dilation)));
  }
  return sizes;
}

Pool2dSizes tiling(std::int64_t channels, Size2d input) {
  return {
      {.kernel = {2, 2}, .stride = {2, 2}}, channels, input, {input.height / 2, input.width / 2}};
}

bool is_tiling(const Pool2dSizes& s) {
  return s == tiling(s.channels, s.input) && s.input.height % 2 == 0 && s.input.width % 2 == 0;
}

Shape pool2d_shape(const Pool2dSizes& sizes) {
  return {kBatch, sizes.channels, sizes.output.height, sizes.output.width};
}

std::vector<std::uint32_t> pool2d_constants(const Pool2dSizes& sizes,
                                            const std::vector<std::uint32_t>& more) {
  const Window2d& w = sizes.window;
  std::vector<std::uint32_t> constants{kElementwiseWorkgroup};
  for (const Size2d& size :
       {w.kernel, w.stride, w.padding_begin, w.dilation, sizes.input, sizes.output}) {
    constants.push_back(to_u32(size.height));
    constants.push_back(to_u32(size.width));
  }
  constants.push_back(to_u32(sizes.channels));
  constants.push_back(leaves_input(height_of(sizes)) || leaves_input(width_of(sizes)));
  constants.insert(constants.end(), more.begin(), more.end());
  return constants;
}

}  // namespace vktrain::nn
