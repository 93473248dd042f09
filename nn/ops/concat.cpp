#include "nn/ops/concat.h"

#include <fmt/format.h>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/reference/concat.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/concat_copy.comp.
struct CopyPush {
  std::uint32_t rows, count, extent;
  std::uint32_t from_begin, from_stride, from_replica;
  std::uint32_t to_begin, to_stride, to_replica;
};

// Columns of one value that become columns of another.
struct ColumnRange {
  ValueId from, to;
  std::int64_t from_begin, to_begin, count;
};

// Copies a range. Where it ends with the target's row, the row's padding becomes 0.
void lower_copy(Lowering& l, const ColumnRange& range, std::string label) {
  const Layout from = l.layout(range.from), to = l.layout(range.to);
  const bool last = range.to_begin + range.count == to.columns;
  const std::int64_t extent = last ? to.row_stride - range.to_begin : range.count;
  const bool loads4 = range.from_begin % 4 == 0;
  const bool stores4 = range.to_begin % 4 == 0 && extent % 4 == 0;
  PlannedDispatch d;
  d.label = std::move(label);
  d.shader = "concat_copy";
  d.constants = {kElementwiseWorkgroup, loads4 ? 1u : 0u, stores4 ? 1u : 0u};
  // Each buffer stands under two names, as elements and as vec4.
  d.bindings = {l.read(range.from), l.read(range.from), l.write(range.to), l.write(range.to)};
  d.push = push_bytes(CopyPush{.rows = to_u32(to.rows),
                               .count = to_u32(range.count),
                               .extent = to_u32(extent),
                               .from_begin = to_u32(range.from_begin),
                               .from_stride = to_u32(from.row_stride),
                               .from_replica = l.replica_stride(range.from),
                               .to_begin = to_u32(range.to_begin),
                               .to_stride = to_u32(to.row_stride),
                               .to_replica = l.replica_stride(range.to)});
  d.groups = l.groups_for(to.rows * divide_up(extent, 4), kElementwiseWorkgroup);
  d.bytes = bytes_of(2 * to.rows * range.count);
  l.dispatch(std::move(d));
}

void copy_reference(ReferenceMemory& memory, const ColumnRange& range) {
  const Layout from = layout_of(memory.shape(range.from)), to = layout_of(memory.shape(range.to));
  reference::copy_columns(to.rows, range.count,
                          {memory[range.from], from.columns, range.from_begin},
                          {memory[range.to], to.columns, range.to_begin});
}

// The places of a concat's inputs, one after the other.
std::vector<ColumnRange> ranges_of(const Graph& graph, const std::vector<ValueId>& inputs,
                                   ValueId y) {
  std::vector<ColumnRange> ranges;
  std::int64_t begin = 0;
  for (const ValueId input : inputs) {
    const std::int64_t count = graph.value(input).shape.elements_per_row();
    ranges.push_back({.from = input, .to = y, .from_begin = 0, .to_begin = begin, .count = count});
    begin += count;
  }
  return ranges;
}

bool differ_only_in_channels(const Shape& a, const Shape& b) {
  if (a.rank() < 2 || a.rank() != b.rank()) return false;
  std::vector<std::int64_t> dims = b.dims();
  dims[1] = a[1];
  return dims == a.dims();
}

}  // namespace

ValueId concat(Graph& graph, std::span<const ValueId> inputs, std::string_view label) {
  if (inputs.size() < 2) {
    throw Error(fmt::format(
        "[concat] {}: expected at least two inputs, found {}; remove the layer or name more inputs",
        label, inputs.size()));
  }
  const Shape first = graph.value(inputs[0]).shape;
  std::vector<std::int64_t> dims = first.dims();
  for (const ValueId input : inputs.subspan(1)) {
    const Shape& shape = graph.value(input).shape;
    if (!differ_only_in_channels(first, shape)) {
      throw Error(fmt::format(
          "[concat] {}: expected inputs that differ in dimension 1 alone, the channels, "
          "found {} and {}",
          label, to_string(first), to_string(shape)));
    }
    dims[1] += shape[1];
  }
  const ValueId y = graph.add_activation(fmt::format("{}.concat", label), Shape(std::move(dims)));
  graph.add(std::make_unique<Concat>(std::vector(inputs.begin(), inputs.end()), y)).label = label;
  return y;
}

void Concat::differentiate(Differentiator& differentiator) const {
  const ValueId dy = differentiator.gradient_of(y());
  for (const ColumnRange& range : ranges_of(differentiator.graph(), inputs_, y())) {
    if (!differentiator.needs_gradient(range.from)) continue;
    const ValueId dx = differentiator.new_gradient(range.from);
    differentiator.graph().add(std::make_unique<Slice>(dy, dx, range.to_begin)).label = label;
  }
}

void Concat::lower(Lowering& l) const {
  for (const ColumnRange& range : ranges_of(l.graph(), inputs_, y())) {
    lower_copy(l, range, fmt::format("{} concat", label));
  }
}

void Concat::reference(ReferenceMemory& memory) const {
  for (const ColumnRange& range : ranges_of(memory.graph(), inputs_, y())) {
    copy_reference(memory, range);
  }
}

void Slice::lower(Lowering& l) const {
  lower_copy(l, {x(), y(), begin_, 0, l.layout(y()).columns}, fmt::format("{} slice", label));
}

void Slice::reference(ReferenceMemory& memory) const {
  copy_reference(memory, {x(), y(), begin_, 0, memory.shape(y()).elements_per_row()});
}

}  // namespace vktrain::nn
