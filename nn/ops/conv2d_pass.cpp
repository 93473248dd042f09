#include "nn/ops/conv2d_pass.h"

#include <fmt/format.h>

#include "nn/ops/split_sum.h"

namespace vktrain::nn {
namespace {

// Mirrors the push constants of shaders/conv2d.glsl.
struct Conv2dPush {
  std::uint32_t batch, groups;
  std::uint32_t in_channels, in_height, in_width, in_row, in_replica;
  std::uint32_t out_channels, out_height, out_width, out_row, out_replica;
  std::uint32_t weight_row, weight_replica, bias_replica, output_replica;
  std::uint32_t splits, per_split, split_stride;
  float alpha;
  std::uint32_t m, n, k, m_tiles;
  float scale, unscale;
};

Conv2dPush push_of(const Lowering& l, const Conv2dSizes& s, const Conv2dGrid& grid, ValueId in,
                   ValueId out, ValueId weight) {
  return {.batch = to_u32(s.batch),
          .groups = to_u32(s.groups),
          .in_channels = to_u32(s.in_channels / s.groups),
          .in_height = to_u32(s.input.height),
          .in_width = to_u32(s.input.width),
          .in_row = to_u32(l.layout(in).row_stride),
          .in_replica = l.replica_stride(in),
          .out_channels = to_u32(s.out_channels / s.groups),
          .out_height = to_u32(s.output.height),
          .out_width = to_u32(s.output.width),
          .out_row = to_u32(l.layout(out).row_stride),
          .out_replica = l.replica_stride(out),
          .weight_row = to_u32(l.layout(weight).row_stride),
          .weight_replica = l.replica_stride(weight),
          .bias_replica = 0,
          .output_replica = 0,
          .splits = 1,
          .per_split = to_u32(grid.per_split),
          .split_stride = 0,
          .alpha = 1,
          .m = to_u32(grid.m),
          .n = to_u32(grid.n),
          .k = to_u32(grid.k),
          .m_tiles = to_u32(grid.row_tiles),
          .scale = 1,
          .unscale = 1};
}

// Of the gradient that a pass reads; mixed precision alone looks at it.
void set_scale(Conv2dPush& push, const Conv2dSizes& s) {
  push.scale = loss_scale(s.batch);
  push.unscale = 1 / push.scale;
}

// Everything but bindings and push constants.
PlannedDispatch dispatch_of(const Lowering& l, std::string_view label, const Conv2dSizes& s,
                            const Conv2dGrid& grid, bool bias, bool data_gradient) {
  PlannedDispatch d;
  d.label = label;
  d.shader = grid.shader;
  d.constants = {grid.workgroup, bias ? 1u : 0u, 0, 0};
  append_constants(d.constants, s.window);
  d.constants.push_back(data_gradient ? 1 : 0);
  d.constants.push_back(s.precision == Precision::mixed ? 1 : 0);
  d.constants.insert(d.constants.end(), grid.constants.begin(), grid.constants.end());
  d.groups = l.groups_for(grid.workgroups, 1);
  d.turns = grid.turns;
  d.flops = conv2d_flops(s);
  return d;
}

double bytes_moved(const Lowering& l, ValueId x, ValueId weight, ValueId y) {
  return bytes_of(l.layout(x).size() + l.layout(weight).size() + l.layout(y).size());
}

}  // namespace

void lower_conv2d(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dGrid& grid,
                  const Conv2dForward& o) {
  const bool bias = o.bias != kNoValue;
  PlannedDispatch d = dispatch_of(l, fmt::format("{} conv2d", label), s, grid, bias, false);
  d.constants[2] = static_cast<std::uint32_t>(o.activation.kind);
  d.for_fewer_turns = kForFewerTurns;
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  d.bindings = {l.read(o.x), l.read(o.weight), l.write(o.y), l.read(bias ? o.bias : o.x),
                l.read(o.x)};
  Conv2dPush push = push_of(l, s, grid, o.x, o.y, o.weight);
  if (bias) push.bias_replica = l.replica_stride(o.bias);
  push.alpha = o.activation.alpha;
  d.push = push_bytes(push);
  d.bytes = bytes_moved(l, o.x, o.weight, o.y);
  l.dispatch(std::move(d));
}

void lower_conv2d(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dGrid& grid,
                  const Conv2dDataGradientOperands& o) {
  const bool derivative = o.gradient_output != kNoValue;
  PlannedDispatch d =
      dispatch_of(l, fmt::format("{} conv2d data gradient", label), s, grid, false, true);
  d.for_fewer_turns = kForFewerTurns;
  if (derivative) d.constants[3] = static_cast<std::uint32_t>(o.gradient_activation.kind);
  d.bindings = {l.read(o.dy), l.read(o.weight), l.write(o.dx), l.read(o.dy),
                l.read(derivative ? o.gradient_output : o.dy)};
  Conv2dPush push = push_of(l, s, grid, o.dx, o.dy, o.weight);
  if (derivative) push.output_replica = l.replica_stride(o.gradient_output);
  set_scale(push, s);
  push.alpha = o.gradient_activation.alpha;
  d.push = push_bytes(push);
  d.bytes = bytes_moved(l, o.dx, o.weight, o.dy);
  l.dispatch(std::move(d));
}

void lower_conv2d(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dGrid& grid,
                  const Conv2dWeightGradientOperands& o) {
  const SplitSum sum =
      make_split_sum(l, o.dweight, o.dbias, to_u32(divide_up(grid.terms, grid.per_split)));
  const std::string name = fmt::format("{} conv2d weight gradient", label);
  PlannedDispatch d = dispatch_of(l, name, s, grid, o.dbias != kNoValue, false);
  d.bindings = {l.read(o.dy), l.read(o.x), sum.result_binding(l), sum.vector_binding(l)};
  Conv2dPush push = push_of(l, s, grid, o.x, o.dy, o.dweight);
  push.weight_replica = sum.result_replica(l);
  push.bias_replica = sum.vector_replica(l);
  push.splits = sum.splits;
  set_scale(push, s);
  push.split_stride = to_u32(sum.split_elements);
  d.push = push_bytes(push);
  d.groups[2] = sum.splits;
  d.bytes = bytes_moved(l, o.x, o.dweight, o.dy);
  l.dispatch(std::move(d));
  lower_split_sum(l, name, sum);
}

}  // namespace vktrain::nn
