#include "nn/ops/bias_add.h"

#include <fmt/format.h>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/ops/channel_sum.h"
#include "nn/ops/column_tile.h"
#include "nn/ops/plane_walk.h"
#include "nn/reference/bias_add.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/bias_add.comp.
struct BiasPush {
  std::uint32_t rows, row_stride, x_replica, bias_replica, y_replica;
};

// Mirrors shaders/bias_add2d.comp.
struct Bias2dPush {
  plane_walk::Planes planes;
  std::uint32_t x_replica, bias_replica, y_replica;
};

// Mirrors shaders/column_sum.comp.
struct SumPush {
  std::uint32_t rows, columns, row_stride, chunk_rows, x_replica, sum_replica;
};

// Up to this many rows one pass is cheaper than a second dispatch.
constexpr std::int64_t kOnePassRows = 1024;
constexpr std::int64_t kChunkRows = 512;
constexpr std::int64_t kMaxChunks = 1024;

// One pass: column sums of each chunk of rows of `from` into a row of `to`.
PlannedDispatch sum_pass(const Layout& layout, std::int64_t chunk_rows, PlannedBinding from,
                         std::uint32_t from_replica, PlannedBinding to, std::uint32_t to_replica,
                         std::uint32_t workgroup) {
  const std::int64_t chunks = divide_up(layout.rows, chunk_rows);
  PlannedDispatch d;
  d.shader = "column_sum";
  d.constants = {workgroup};
  d.bindings = {from, to};
  d.push =
      push_bytes(SumPush{to_u32(layout.rows), to_u32(layout.columns), to_u32(layout.row_stride / 4),
                         to_u32(chunk_rows), from_replica / 4, to_replica / 4});
  d.groups = {column_tile::column_groups(layout), to_u32(chunks), 1};
  // And a loop over what the row lanes have.
  d.turns =
      column_tile::row_turns(chunk_rows, 1, workgroup) + column_tile::row_lanes(workgroup) + 1;
  d.flops = static_cast<double>(layout.size());
  d.bytes = bytes_of(layout.size() + chunks * layout.row_stride);
  return d;
}

}  // namespace

ValueId bias_add(Graph& graph, ValueId x, ValueId bias, std::string_view label) {
  const Shape shape = graph.value(x).shape;
  const Shape bias_shape = graph.value(bias).shape;
  if (bias_shape.rank() != 1) {
    throw Error(fmt::format("[bias_add] {}: expected a bias of shape [channels], found {}", label,
                            to_string(bias_shape)));
  }
  const bool image = shape.rank() == 4;
  if ((shape.rank() != 2 && !image) || shape[1] != bias_shape[0]) {
    throw Error(fmt::format("[bias_add] {}: expected input of shape [batch, {}{}], found {}", label,
                            bias_shape[0], image ? ", height, width" : "", to_string(shape)));
  }
  const ValueId y = graph.add_activation(fmt::format("{}.biased", label), shape);
  graph.add(std::make_unique<BiasAdd>(x, bias, y)).label = label;
  return y;
}

void BiasAdd::differentiate(Differentiator& differentiator) const {
  const ValueId dy = differentiator.gradient_of(y());
  if (differentiator.needs_gradient(bias())) {
    Graph& graph = differentiator.graph();
    const ValueId db = differentiator.new_gradient(bias());
    if (graph.value(dy).shape.rank() == 2) {
      graph.add(std::make_unique<ColumnSum>(dy, db)).label = label;
    } else {
      graph.add(std::make_unique<ChannelSum>(dy, db)).label = label;
    }
  }
  differentiator.pass_gradient(x(), dy);
}

void BiasAdd::lower(Lowering& l) const {
  const Layout layout = l.layout(x());
  const std::uint32_t x_replica = l.replica_stride(x()), bias_replica = l.replica_stride(bias()),
                      y_replica = l.replica_stride(y());
  PlannedDispatch d;
  if (l.graph().value(x()).shape.rank() == 4) {
    const plane_walk::Planes planes = plane_walk::for_writing(plane_walk::planes_of(l, x()));
    d = plane_walk::walk(planes, "bias_add2d");
    d.push = push_bytes(Bias2dPush{planes, x_replica / 4, bias_replica, y_replica / 4});
  } else {
    const std::uint32_t workgroup = column_tile::workgroup(l.device());
    d.shader = "bias_add";
    d.constants = {workgroup};
    d.push = push_bytes(BiasPush{to_u32(layout.rows), to_u32(layout.row_stride / 4), x_replica / 4,
                                 bias_replica / 4, y_replica / 4});
    d.groups = column_tile::elementwise_groups(layout, workgroup);
    d.turns = column_tile::row_turns(layout.rows, d.groups[1], workgroup);
  }
  d.label = fmt::format("{} bias_add", label);
  d.bindings = {l.read(x()), l.read(bias()), l.write(y())};
  d.flops = static_cast<double>(layout.size());
  d.bytes = bytes_of(2 * layout.size() + layout.row_stride);
  l.dispatch(std::move(d));
}

void BiasAdd::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(x());
  reference::bias_add(shape[0], shape[1], shape.elements_per_row() / shape[1], memory[x()],
                      memory[bias()], memory[y()]);
}

void ColumnSum::lower(Lowering& l) const {
  const Layout layout = l.layout(x());
  const std::uint32_t workgroup = column_tile::workgroup(l.device());
  const std::uint32_t x_replica = l.replica_stride(x()), sum_replica = l.replica_stride(sum());
  if (layout.rows <= kOnePassRows) {
    PlannedDispatch d = sum_pass(layout, layout.rows, l.read(x()), x_replica, l.write(sum()),
                                 sum_replica, workgroup);
    d.label = fmt::format("{} column_sum", label);
    l.dispatch(std::move(d));
    return;
  }
  const std::int64_t chunk_rows = std::max(kChunkRows, divide_up(layout.rows, kMaxChunks));
  Layout partial = layout;
  partial.rows = divide_up(layout.rows, chunk_rows);
  const std::uint32_t scratch = l.scratch(partial.size());
  const auto scratch_replica = to_u32(round_up(partial.size(), kAlignmentElements));

  using runtime::Access;
  PlannedDispatch first =
      sum_pass(layout, chunk_rows, l.read(x()), x_replica,
               l.scratch_binding(scratch, Access::write), scratch_replica, workgroup);
  first.label = fmt::format("{} column_sum", label);
  l.dispatch(std::move(first));
  PlannedDispatch second = sum_pass(partial, partial.rows, l.scratch_binding(scratch, Access::read),
                                    scratch_replica, l.write(sum()), sum_replica, workgroup);
  second.label = fmt::format("{} column_sum second pass", label);
  l.dispatch(std::move(second));
}

void ColumnSum::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(x());
  reference::column_sum(shape[0], shape.elements_per_row(), memory[x()], memory[sum()]);
}

}  // namespace vktrain::nn
