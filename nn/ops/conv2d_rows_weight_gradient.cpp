// Weight gradient by the "rows" kernel: choice of its tiles and lowering; see
// shaders/conv2d_rows_weight_gradient.comp.
#include <fmt/format.h>

#include <algorithm>

#include "nn/loop_turns.h"
#include "nn/ops/conv2d_pass.h"
#include "nn/ops/conv2d_rows_tiles.h"
#include "nn/ops/split_sum.h"

namespace vktrain::nn::conv2d_rows {
namespace {

constexpr std::int64_t kMostProducts = 2600;  // of a turn: more compile for seconds
constexpr std::int64_t kMostSums = 192;
constexpr std::int64_t kMostOutChannels = 8;
constexpr std::int64_t kMostInChannels = 8;

// AVX-512's registers of 8 floats, and what a product costs more, in instructions, where they do
// not hold what an invocation reads of dy.
constexpr std::int64_t kRegisters = 32;
constexpr double kSpillCost = 0.15;

// What an invocation of the weight gradient keeps sums of; its workgroup has as many output
// channels for each of its lanes.
struct WeightTiles {
  RowTiles row;  // of dy
  std::int64_t out_channels = 1, in_channels = 1, kernel_rows = 1;

  std::int64_t out_tiles(const Conv2dSizes& s) const {
    return divide_up(s.out_channels / s.groups, out_channels * kWorkgroup);
  }
  std::int64_t in_tiles(const Conv2dSizes& s) const {
    return divide_up(s.in_channels / s.groups, in_channels);
  }
  std::int64_t kernel_tiles(const Conv2dSizes& s) const {
    return divide_up(s.window.kernel.height, kernel_rows);
  }
  std::int64_t count(const Conv2dSizes& s) const {
    return out_tiles(s) * in_tiles(s) * kernel_tiles(s) * s.groups;
  }
  std::int64_t sums(const Conv2dSizes& s) const {
    return out_channels * in_channels * kernel_rows * s.window.kernel.width;
  }
  std::int64_t products(const Conv2dSizes& s) const { return sums(s) * row.columns; }
  double cost(const Conv2dSizes& s) const {
    const bool whole = row.tiles == 1;
    const std::int64_t x_width = whole ? s.input.width : span_of(row.columns, s.window, false);
    const std::uint32_t dy_floats = texel_floats(row, output_row_width(s));
    const double dy_loads = s.pooled ? tiles_load_cost(out_channels, row.columns, dy_floats)
                                     : load_cost(out_channels * row.columns, dy_floats);
    const double loads =
        dy_loads + load_cost(divide_up(in_channels * kernel_rows, kWorkgroup) * x_width,
                             texel_floats(row, s.input.width));
    const bool spills = out_channels * row.columns > kRegisters;
    return static_cast<double>(count(s)) *
           (body_cost(loads, products(s), sums(s)) +
            (spills ? kSpillCost * static_cast<double>(products(s)) : 0));
  }
};

WeightTiles tile_weights(const Conv2dSizes& s) {
  WeightTiles best;
  best.row = tile_row(s.output.width, s.input.width, s.window, false);
  WeightTiles tiles = best;
  for (std::int64_t out = 1; out <= kMostOutChannels; ++out) {
    tiles.out_channels = tile_size(divide_up(s.out_channels / s.groups, kWorkgroup), out);
    for (std::int64_t in = 1; in <= kMostInChannels; ++in) {
      tiles.in_channels = tile_size(s.in_channels / s.groups, in);
      for (std::int64_t rows = 1; rows <= s.window.kernel.height; ++rows) {
        tiles.kernel_rows = tile_size(s.window.kernel.height, rows);
        if (tiles.sums(s) > kMostSums || tiles.products(s) > kMostProducts) continue;
        if (tiles.cost(s) < best.cost(s)) best = tiles;
      }
    }
  }
  return best;
}

std::int64_t rows_of(const Conv2dSizes& s, const WeightTiles& tiles) {
  return s.batch * s.output.height * tiles.row.tiles;
}

// Rows of dy (or tiles of rows) that a turn takes: two where the lanes hold the rows of x for both.
// With 1 input channel and 3 x 3 weights that takes 0.76 of the time for 8 output channels (504
// products) and would take 1.21 for 32 (2016).
std::int64_t items_of_turn(const Conv2dSizes& s, const WeightTiles& tiles) {
  constexpr std::int64_t kItems = 2;
  const bool room = kItems * tiles.in_channels * tiles.kernel_rows <= kWorkgroup &&
                    kItems * tiles.products(s) <= kMostCachedProducts;
  return room && rows_of(s, tiles) % kItems == 0 ? kItems : 1;
}

// The batch is split until there are about this many workgroups.
constexpr std::int64_t kWantedGroups = 16;

// All other loops are unrolled.
LoopTurns row_turns(const Conv2dSizes& s, const WeightTiles& tiles) {
  return {.step = items_of_turn(s, tiles)};
}

std::uint32_t split_batch(const Conv2dSizes& s, const WeightTiles& tiles,
                          const runtime::DeviceProfile& device) {
  const std::int64_t rows = rows_of(s, tiles);
  const std::int64_t least = divide_up(rows, row_turns(s, tiles).most_terms(device));
  const std::int64_t wanted = std::clamp<std::int64_t>(kWantedGroups / tiles.count(s), least, rows);
  return to_u32(divide_up(rows, round_up(divide_up(rows, wanted), items_of_turn(s, tiles))));
}

// In whole turns, as all rows are.
std::int64_t rows_per_split(const Conv2dSizes& s, const WeightTiles& tiles, std::uint32_t splits) {
  return round_up(divide_up(rows_of(s, tiles), splits), items_of_turn(s, tiles));
}

// Mirrors the push constants of shaders/conv2d_rows_weight_gradient.comp.
struct WeightPush {
  std::uint32_t batch;
  std::uint32_t dy_row, x_row;
  std::uint32_t out_channels, in_channels;
  std::uint32_t out_height, in_height;
  std::uint32_t out_tiles, in_tiles, kernel_tiles;
  std::uint32_t groups, weight_row;
  std::uint32_t dy_replica, x_replica, dweight_replica, dbias_replica;
  std::uint32_t splits, rows_per_split, split_stride, bias_offset, sum_bias;
  float scale, unscale;
  std::uint32_t winners_row, winners_replica;
};

WeightPush weight_push_of(const Lowering& l, const Conv2dSizes& s,
                          const Conv2dWeightGradientOperands& o, const WeightTiles& tiles,
                          const SplitSum& sum) {
  const bool split = sum.splits > 1;
  return {.batch = to_u32(s.batch),
          .dy_row = to_u32(l.layout(o.dy).row_stride),
          .x_row = to_u32(l.layout(o.x).row_stride),
          .out_channels = to_u32(s.out_channels / s.groups),
          .in_channels = to_u32(s.in_channels / s.groups),
          .out_height = to_u32(s.output.height),
          .in_height = to_u32(s.input.height),
          .out_tiles = to_u32(tiles.out_tiles(s)),
          .in_tiles = to_u32(tiles.in_tiles(s)),
          .kernel_tiles = to_u32(tiles.kernel_tiles(s)),
          .groups = to_u32(s.groups),
          .weight_row = to_u32(l.layout(o.dweight).row_stride),
          .dy_replica = l.replica_stride(o.dy),
          .x_replica = l.replica_stride(o.x),
          .dweight_replica = sum.result_replica(l),
          .dbias_replica = sum.vector_replica(l),
          .splits = sum.splits,
          .rows_per_split = to_u32(rows_per_split(s, tiles, sum.splits)),
          .split_stride = split ? to_u32(sum.split_elements) : 0,
          .bias_offset = split ? to_u32(l.layout(o.dweight).size()) : 0,
          .sum_bias = o.dbias != kNoValue ? 1u : 0u,
          .scale = scale_of(s, true),
          .unscale = 1 / scale_of(s, true),
          .winners_row = s.pooled ? to_u32(l.layout(o.winners).row_stride) : 0,
          .winners_replica = s.pooled ? l.replica_stride(o.winners) : 0};
}

}  // namespace

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dWeightGradientOperands& o) {
  const WeightTiles tiles = tile_weights(s);
  const std::uint32_t splits = split_batch(s, tiles, l.device());
  const SplitSum sum = make_split_sum(l, o.dweight, o.dbias, splits);
  const RowTiles& row = tiles.row;
  PlannedDispatch d;
  d.label = fmt::format("{} conv2d weight gradient", label);
  d.shader = "conv2d_rows_weight_gradient";
  d.constants = {kWorkgroup, 0, 0, 0};
  append_constants(d.constants, s.window);
  const std::uint32_t x_floats = texel_floats(row, s.input.width);
  const std::uint32_t dy_floats = texel_floats(row, output_row_width(s));
  append_constants(d.constants,
                   {tiles.out_channels, tiles.in_channels, tiles.kernel_rows, row.columns,
                    row.tiles, s.input.width, s.output.width, x_floats, dy_floats,
                    s.precision == Precision::mixed, s.pooled, items_of_turn(s, tiles)});
  d.bindings = {l.read(o.dy).as_texels(texels_of(dy_floats)),
                l.read(o.x).as_texels(texels_of(x_floats)), sum.result_binding(l),
                sum.vector_binding(l),
                l.read(s.pooled ? o.winners : o.dy).as_texels(runtime::TexelFormat::r32ui)};
  d.push = push_bytes(weight_push_of(l, s, o, tiles, sum));
  d.groups = l.groups_for(tiles.count(s), 1);
  d.groups[2] = splits;
  d.turns = row_turns(s, tiles).of(rows_per_split(s, tiles, splits));
  d.flops = conv2d_flops(s);
  d.bytes = bytes_of(l.layout(o.dy).size() + l.layout(o.x).size());
  if (s.pooled) d.bytes += bytes_of(l.layout(o.winners).size());
  l.dispatch(std::move(d));
  lower_split_sum(l, fmt::format("{} conv2d weight gradient", label), sum);
}

}  // namespace vktrain::nn::conv2d_rows
