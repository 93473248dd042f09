#include "nn/ops/channels_last.h"

#include <fmt/format.h>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/ops/reshape.h"
#include "nn/reference/channels_last.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/channels_last.comp.
struct ChannelsLastPush {
  std::uint32_t count, rows, columns, row_stride, x_replica, y_replica;
};

}  // namespace

ValueId flatten_channels_last(Graph& graph, ValueId x, std::string_view label) {
  const Shape shape = graph.value(x).shape;
  if (shape.rank() != 4) {
    throw Error(
        fmt::format("[channels_last] {}: expected an input of shape [batch, channels, height, "
                    "width], found {}; put it before the first linear or flatten layer",
                    label, to_string(shape)));
  }
  if (shape[1] == 1 || shape[2] * shape[3] == 1) return flatten(graph, x, label);
  const ValueId y = graph.add_activation(fmt::format("{}.channels_last", label),
                                         {shape[0], shape.elements_per_row()});
  graph.add(std::make_unique<ChannelsLast>(x, y, false)).label = label;
  return y;
}

void ChannelsLast::differentiate(Differentiator& differentiator) const {
  const ValueId dy = differentiator.gradient_of(y());
  if (!differentiator.needs_gradient(x())) return;
  const ValueId dx = differentiator.new_gradient(x());
  differentiator.graph().add(std::make_unique<ChannelsLast>(dy, dx, !inverse_)).label = label;
}

ChannelsLast::Factors ChannelsLast::factors(const Graph& graph) const {
  const Shape& images = graph.value(inverse_ ? y() : x()).shape;
  const std::int64_t channels = images[1], pixels = images[2] * images[3];
  return inverse_ ? Factors{pixels, channels} : Factors{channels, pixels};
}

void ChannelsLast::lower(Lowering& l) const {
  const Layout layout = l.layout(x());
  const Factors f = factors(l.graph());
  const std::int64_t vectors = layout.size() / 4;
  PlannedDispatch d;
  d.label = fmt::format("{} channels {}", label, inverse_ ? "first" : "last");
  d.shader = "channels_last";
  d.constants = {kElementwiseWorkgroup};
  d.bindings = {l.read(x()), l.write(y())};
  d.push = push_bytes(ChannelsLastPush{.count = to_u32(vectors),
                                       .rows = to_u32(f.rows),
                                       .columns = to_u32(f.columns),
                                       .row_stride = to_u32(layout.row_stride / 4),
                                       .x_replica = l.replica_stride(x()),
                                       .y_replica = l.replica_stride(y()) / 4});
  d.groups = l.groups_for(vectors, kElementwiseWorkgroup);
  d.bytes = bytes_of(2 * layout.size());
  l.dispatch(std::move(d));
}

void ChannelsLast::reference(ReferenceMemory& memory) const {
  const Factors f = factors(memory.graph());
  reference::transpose_rows(memory.shape(x())[0], f.rows, f.columns, memory[x()], memory[y()]);
}

}  // namespace vktrain::nn
