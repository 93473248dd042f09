#include "nn/ops/batch_norm1d.h"

#include <fmt/format.h>

#include "nn/loop_turns.h"
#include "nn/ops/column_tile.h"

namespace vktrain::nn::batch_norm1d {
namespace {

// Mirrors shaders/batch_norm_forward.comp.
struct ForwardPush {
  std::uint32_t rows, columns, row_stride;
  std::uint32_t x_replica, parameter_replica, state_replica, y_replica, mean_replica;
  std::uint32_t inv_std_replica;
  float epsilon, keep, momentum, unbias, alpha;
};

// Mirrors shaders/batch_norm_eval.comp.
struct EvalPush {
  std::uint32_t rows, row_stride, x_replica, parameter_replica, state_replica, y_replica;
  float epsilon, alpha;
};

// Mirrors shaders/batch_norm_backward.comp.
struct BackwardPush {
  std::uint32_t rows, columns, row_stride;
  std::uint32_t dy_replica, x_replica, mean_replica, scale_replica, weight_replica;
  std::uint32_t dx_replica, dweight_replica, dbias_replica;
  float epsilon;
};

// Of a kernel that walks over the rows `walks` times, and adds up `sums` times what its lanes have.
LoopTurns row_turns(const Lowering& l, std::int64_t walks, std::int64_t sums) {
  const std::int64_t lanes = column_tile::row_lanes(column_tile::workgroup(l.device()));
  return {.step = lanes, .per_step = walks, .others = walks + sums * (lanes + 1)};
}

LoopTurns turns_of(const BatchNormTrain&, const Lowering& l) { return row_turns(l, 3, 2); }
LoopTurns turns_of(const BatchNormBackward&, const Lowering& l) { return row_turns(l, 2, 1); }

bool is_matrix(const Lowering& l, ValueId x) { return l.graph().value(x).shape.rank() == 2; }

bool within_turns(const Lowering& l, ValueId x, const LoopTurns& turns) {
  return within_loop_limit(turns.of(l.layout(x).rows), l.device());
}

}  // namespace

bool supports(const BatchNormTrain& norm, const Lowering& l) {
  return is_matrix(l, norm.x()) && within_turns(l, norm.x(), turns_of(norm, l));
}

bool supports(const BatchNormEval& norm, const Lowering& l) { return is_matrix(l, norm.x()); }

bool supports(const BatchNormBackward& norm, const Lowering& l) {
  return is_matrix(l, norm.x()) && within_turns(l, norm.x(), turns_of(norm, l));
}

void lower(const BatchNormTrain& norm, Lowering& l) {
  const Layout layout = l.layout(norm.x());
  const auto n = static_cast<double>(layout.rows);
  PlannedDispatch d;
  d.label = fmt::format("{} batch_norm", norm.label);
  d.shader = by_texels(l.device(), "batch_norm_forward");
  d.constants = {column_tile::workgroup(l.device()),
                 static_cast<std::uint32_t>(norm.activation().kind)};
  d.bindings = {l.read(norm.x()),
                l.read(norm.weight()),
                l.read(norm.bias()),
                l.read_write(norm.running_mean()),
                l.read_write(norm.running_var()),
                l.write(norm.y()),
                l.write(norm.mean()),
                l.write(norm.inv_std())};
  d.push = push_bytes(ForwardPush{.rows = to_u32(layout.rows),
                                  .columns = to_u32(layout.columns),
                                  .row_stride = to_u32(layout.row_stride / 4),
                                  .x_replica = l.replica_stride(norm.x()) / 4,
                                  .parameter_replica = l.replica_stride(norm.weight()) / 4,
                                  .state_replica = l.replica_stride(norm.running_mean()) / 4,
                                  .y_replica = l.replica_stride(norm.y()) / 4,
                                  .mean_replica = l.replica_stride(norm.mean()) / 4,
                                  .inv_std_replica = l.replica_stride(norm.inv_std()) / 4,
                                  .epsilon = static_cast<float>(norm.options().epsilon),
                                  .keep = static_cast<float>(1 - norm.options().momentum),
                                  .momentum = static_cast<float>(norm.options().momentum),
                                  .unbias = static_cast<float>(n / (n - 1)),
                                  .alpha = norm.activation().alpha});
  d.groups = {column_tile::column_groups(layout), 1, 1};
  d.turns = turns_of(norm, l).of(layout.rows);
  d.flops = 10.0 * static_cast<double>(layout.size());
  d.bytes = bytes_of(2 * layout.size() + 9 * layout.row_stride);
  l.dispatch(std::move(d));
}

void lower(const BatchNormEval& norm, Lowering& l) {
  const Layout layout = l.layout(norm.x());
  const std::uint32_t workgroup = column_tile::workgroup(l.device());
  PlannedDispatch d;
  d.label = fmt::format("{} batch_norm", norm.label);
  d.shader = by_texels(l.device(), "batch_norm_eval");
  d.constants = {workgroup, static_cast<std::uint32_t>(norm.activation().kind)};
  d.bindings = {l.read(norm.x()),           l.read(norm.weight()),
                l.read(norm.bias()),        l.read(norm.running_mean()),
                l.read(norm.running_var()), l.write(norm.y())};
  d.push = push_bytes(EvalPush{.rows = to_u32(layout.rows),
                               .row_stride = to_u32(layout.row_stride / 4),
                               .x_replica = l.replica_stride(norm.x()) / 4,
                               .parameter_replica = l.replica_stride(norm.weight()) / 4,
                               .state_replica = l.replica_stride(norm.running_mean()) / 4,
                               .y_replica = l.replica_stride(norm.y()) / 4,
                               .epsilon = static_cast<float>(norm.options().epsilon),
                               .alpha = norm.activation().alpha});
  d.groups = column_tile::elementwise_groups(layout, workgroup);
  d.turns = column_tile::row_turns(layout.rows, d.groups[1], workgroup);
  d.flops = 3.0 * static_cast<double>(layout.size());
  d.bytes = bytes_of(2 * layout.size() + 4 * layout.row_stride);
  l.dispatch(std::move(d));
}

void lower(const BatchNormBackward& norm, Lowering& l) {
  const Layout layout = l.layout(norm.x());
  PlannedDispatch d;
  d.label = fmt::format("{} batch_norm backward", norm.label);
  d.shader = by_texels(l.device(), "batch_norm_backward");
  d.constants = {column_tile::workgroup(l.device()), norm.training() ? 1u : 0u};
  d.bindings = {l.read(norm.dy()),       l.read(norm.x()),      l.read(norm.mean()),
                l.read(norm.scale()),    l.read(norm.weight()), l.write(norm.dx()),
                l.write(norm.dweight()), l.write(norm.dbias())};
  d.push = push_bytes(BackwardPush{.rows = to_u32(layout.rows),
                                   .columns = to_u32(layout.columns),
                                   .row_stride = to_u32(layout.row_stride / 4),
                                   .dy_replica = l.replica_stride(norm.dy()) / 4,
                                   .x_replica = l.replica_stride(norm.x()) / 4,
                                   .mean_replica = l.replica_stride(norm.mean()) / 4,
                                   .scale_replica = l.replica_stride(norm.scale()) / 4,
                                   .weight_replica = l.replica_stride(norm.weight()) / 4,
                                   .dx_replica = l.replica_stride(norm.dx()) / 4,
                                   .dweight_replica = l.replica_stride(norm.dweight()) / 4,
                                   .dbias_replica = l.replica_stride(norm.dbias()) / 4,
                                   .epsilon = static_cast<float>(norm.options().epsilon)});
  d.groups = {column_tile::column_groups(layout), 1, 1};
  d.turns = turns_of(norm, l).of(layout.rows);
  d.flops = 11.0 * static_cast<double>(layout.size());
  d.bytes = bytes_of(3 * layout.size() + 6 * layout.row_stride);
  l.dispatch(std::move(d));
}

}  // namespace vktrain::nn::batch_norm1d
