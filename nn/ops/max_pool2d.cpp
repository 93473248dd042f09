#include "nn/ops/max_pool2d.h"

#include <fmt/format.h>

#include <span>
#include <vector>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/reference/activation.h"
#include "nn/reference/max_pool2d.h"
#include "nn/reference/reference_memory.h"

namespace vktrain::nn {
namespace {

// A tiling of rows that have no padding: the usual case. Its kernels, max_pool2d_tiles_*.comp, find
// each window once (lavapipe, one core, [512, 8, 28, 28]: forward 4.6 ms instead of 5.2,
// backward 5.0 instead of 9.0).
bool tiles(const Pool2dSizes& s) {
  return is_tiling(s) && s.channels * s.output.height * s.output.width % 4 == 0;
}

// Nothing where there is no output.
void multiply_by_derivative(const ActivationSpec& activation, std::span<const double> output,
                            std::span<double> gradient) {
  for (std::size_t i = 0; i < output.size(); ++i) {
    gradient[i] *= reference::activation_derivative(activation, output[i]);
  }
}

}  // namespace

ValueId max_pool2d(Graph& graph, ValueId x, const Window2d& window, std::string_view label) {
  const Pool2dSizes sizes = pool2d_sizes(graph, x, window, fmt::format("[max_pool2d] {}", label));
  const Shape shape = pool2d_shape(sizes);
  const ValueId y = graph.add_activation(fmt::format("{}.max_pool2d", label), shape);
  const ValueId winners = graph.add_activation(fmt::format("{}.winners", label), shape, DType::u32);
  graph.add(std::make_unique<MaxPool2d>(x, y, winners, sizes)).label = label;
  return y;
}

void MaxPool2d::differentiate(Differentiator& differentiator) const {
  const ValueId dy = differentiator.gradient_of(y());
  if (!differentiator.needs_gradient(x())) return;
  const ValueId dx = differentiator.new_gradient(x());
  differentiator.graph().add(std::make_unique<MaxPool2dBackward>(dy, winners(), dx, sizes_)).label =
      label;
}

void MaxPool2d::lower(Lowering& l) const {
  const std::int64_t size = l.layout(y()).size();
  const Size2d kernel = sizes_.window.kernel;
  PlannedDispatch d;
  d.label = fmt::format("{} max_pool2d", label);
  d.shader =
      tiles(sizes_) ? by_texels(l.device(), "max_pool2d_tiles_forward") : "max_pool2d_forward";
  d.constants = pool2d_constants(sizes_);
  d.bindings = {l.read(x()).as_texels(runtime::TexelFormat::rg32f), l.write(y()),
                l.write(winners())};
  d.push =
      push_bytes(Pool2dForwardPush{to_u32(size / 4), l.replica_stride(x()), l.replica_stride(y())});
  d.groups = l.groups_for(size / 4, kElementwiseWorkgroup);
  set_forward_turns(d, sizes_);
  d.flops = static_cast<double>(size * kernel.height * kernel.width);
  d.bytes = bytes_of(l.layout(x()).size() + 2 * size);
  l.dispatch(std::move(d));
}

void MaxPool2d::reference(ReferenceMemory& memory) const {
  reference::max_pool2d(sizes_, memory[x()], memory[y()], memory[winners()]);
}

// An element that gets a gradient from a window is the window's maximum, so that y holds it, too. A
// tile reads its one y instead of four x; where windows overlap, the one x instead of many y.
ValueId MaxPool2d::derivative_operand() const { return tiles(sizes_) ? y() : x(); }

MaxPool2dBackward::MaxPool2dBackward(ValueId dy, ValueId winners, ValueId dx,
                                     const Pool2dSizes& sizes,
                                     const ActivationSpec& gradient_activation,
                                     ValueId gradient_output)
    : Operation({dy, winners}, {dx}),
      sizes_(sizes),
      gradient_activation_(gradient_activation),
      gradient_output_(gradient_output) {
  if (gradient_output != kNoValue) inputs_.push_back(gradient_output);
}

void MaxPool2dBackward::lower(Lowering& l) const {
  const std::int64_t size = l.layout(dx()).size(), windows = l.layout(dy()).size();
  PlannedDispatch d;
  d.label = fmt::format("{} max_pool2d backward", label);
  const bool derivative = gradient_output_ != kNoValue;
  d.constants = pool2d_constants(sizes_, {static_cast<std::uint32_t>(gradient_activation_.kind),
                                          float_bits(gradient_activation_.alpha)});
  // Without a derivative the shader does not touch the last one.
  d.bindings = {l.read(dy()), l.write(dx()),
                l.read(winners()).as_texels(runtime::TexelFormat::rgba32ui),
                l.read(derivative ? gradient_output_ : dy())};
  const bool by_window = tiles(sizes_);
  const std::int64_t count = (by_window ? windows : size) / 4;
  d.shader = by_window ? by_texels(l.device(), "max_pool2d_tiles_backward") : "max_pool2d_backward";
  d.push =
      push_bytes(Pool2dBackwardPush{to_u32(count), l.replica_stride(dy()), l.replica_stride(dx())});
  d.groups = l.groups_for(count, kElementwiseWorkgroup);
  set_backward_turns(d, sizes_);
  d.flops = static_cast<double>(windows);
  d.bytes = bytes_of(size + 2 * windows);
  if (derivative) {
    const std::int64_t outputs = l.layout(gradient_output_).size();
    d.flops += 3.0 * static_cast<double>(outputs);
    d.bytes += bytes_of(outputs);
  }
  l.dispatch(std::move(d));
}

void MaxPool2dBackward::reference(ReferenceMemory& memory) const {
  const std::span<const double> output = memory.optional(gradient_output_);
  const bool by_window = tiles(sizes_);
  std::vector<double> gradient = memory[dy()];
  if (by_window) multiply_by_derivative(gradient_activation_, output, gradient);
  reference::max_pool2d_backward(sizes_, gradient, memory[winners()], memory[dx()]);
  if (!by_window) multiply_by_derivative(gradient_activation_, output, memory[dx()]);
}

}  // namespace vktrain::nn
