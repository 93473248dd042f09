#include "nn/ops/avg_pool2d.h"

#include <fmt/format.h>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/reference/avg_pool2d.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

double kernel_size(const Pool2dSizes& sizes) {
  return static_cast<double>(sizes.window.kernel.height * sizes.window.kernel.width);
}

}  // namespace

ValueId avg_pool2d(Graph& graph, ValueId x, const Window2d& window, bool count_include_pad,
                   std::string_view label) {
  const std::string subject = fmt::format("[avg_pool2d] {}", label);
  const Pool2dSizes sizes = pool2d_sizes(graph, x, window, subject);
  if (window.dilation != Size2d{1, 1}) {
    throw Error(
        fmt::format("{}: expected a dilation of 1 x 1, found {}; only convolution and max "
                    "pooling can be dilated",
                    subject, to_string(window.dilation)));
  }
  const ValueId y = graph.add_activation(fmt::format("{}.avg_pool2d", label), pool2d_shape(sizes));
  graph.add(std::make_unique<AvgPool2d>(x, y, sizes, count_include_pad)).label = label;
  return y;
}

ValueId global_avg_pool2d(Graph& graph, ValueId x, std::string_view label) {
  const std::string subject = fmt::format("[global_avg_pool2d] {}", label);
  const Size2d plane = pool2d_plane(graph, x, subject);
  // The stride tells the backward kernel that planes do not overlap.
  const Pool2dSizes sizes = pool2d_sizes(graph, x, {.kernel = plane, .stride = plane}, subject);
  // [batch, C] and [batch, C, 1, 1] lie in memory alike.
  const ValueId y =
      graph.add_activation(fmt::format("{}.global_avg_pool2d", label), {kBatch, sizes.channels});
  graph.add(std::make_unique<AvgPool2d>(x, y, sizes, true)).label = label;
  return y;
}

void AvgPool2d::differentiate(Differentiator& differentiator) const {
  const ValueId dy = differentiator.gradient_of(y());
  if (!differentiator.needs_gradient(x())) return;
  const ValueId dx = differentiator.new_gradient(x());
  differentiator.graph()
      .add(std::make_unique<AvgPool2dBackward>(dy, dx, sizes_, count_include_pad_))
      .label = label;
}

void AvgPool2d::lower(Lowering& l) const {
  const std::int64_t size = l.layout(y()).size();
  PlannedDispatch d;
  d.label = fmt::format("{} avg_pool2d", label);
  d.shader = "avg_pool2d_forward";
  d.constants = pool2d_constants(sizes_, {count_include_pad_});
  d.bindings = {l.read(x()), l.write(y())};
  d.push =
      push_bytes(Pool2dForwardPush{to_u32(size / 4), l.replica_stride(x()), l.replica_stride(y())});
  d.groups = l.groups_for(size / 4, kElementwiseWorkgroup);
  set_forward_turns(d, sizes_);
  d.flops = static_cast<double>(size) * kernel_size(sizes_);
  d.bytes = bytes_of(l.layout(x()).size() + size);
  l.dispatch(std::move(d));
}

void AvgPool2d::reference(ReferenceMemory& memory) const {
  reference::avg_pool2d(sizes_, count_include_pad_, memory[x()], memory[y()]);
}

void AvgPool2dBackward::lower(Lowering& l) const {
  const std::int64_t size = l.layout(dx()).size(), windows = l.layout(dy()).size();
  PlannedDispatch d;
  d.label = fmt::format("{} avg_pool2d backward", label);
  d.shader = "avg_pool2d_backward";
  d.constants = pool2d_constants(sizes_, {count_include_pad_});
  d.bindings = {l.read(dy()), l.write(dx())};
  d.push = push_bytes(
      Pool2dBackwardPush{to_u32(size / 4), l.replica_stride(dy()), l.replica_stride(dx())});
  d.groups = l.groups_for(size / 4, kElementwiseWorkgroup);
  set_backward_turns(d, sizes_);
  d.flops = 2.0 * static_cast<double>(windows) * kernel_size(sizes_);
  d.bytes = bytes_of(size + windows);
  l.dispatch(std::move(d));
}

void AvgPool2dBackward::reference(ReferenceMemory& memory) const {
  reference::avg_pool2d_backward(sizes_, count_include_pad_, memory[dy()], memory[dx()]);
}

}  // namespace vktrain::nn
