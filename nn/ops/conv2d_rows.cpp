// The "rows" kernels: choice of their tiles and lowering; see shaders/conv2d_rows.glsl.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "nn/loop_turns.h"
#include "nn/ops/conv2d_pass.h"
#include "nn/ops/conv2d_variants.h"
#include "nn/ops/split_sum.h"

namespace vktrain::nn::conv2d_rows {
namespace {

// One vector of a CPU driver: more invocations would only add a loop around them.
constexpr std::uint32_t kWorkgroup = 8;
constexpr std::int64_t kMostColumns = 32;  // that an invocation makes: sizes of the kernels' arrays
constexpr std::int64_t kMostSpan = 64;     // that an invocation reads
constexpr std::int64_t kMostChannels = 16;
constexpr std::int64_t kMostKernelWidth = 8;

// What a product and a sum kept over a turn of a loop cost lavapipe, in instructions for 8 lanes.
constexpr double kProductCost = 2;
constexpr double kSumCost = 3;

// Of `count` floats read from texels of 1, 2 or 4: a texel is gathered lane by lane.
double load_cost(std::int64_t count, std::uint32_t texel_floats) {
  const double of_a_float = texel_floats == 4 ? 10 : texel_floats == 2 ? 17 : 28;
  return of_a_float * static_cast<double>(count);
}

double body_cost(double loads, std::int64_t products, std::int64_t sums) {
  return loads + kProductCost * static_cast<double>(products) +
         kSumCost * static_cast<double>(sums);
}

// What keeps the compilation of a kernel within about half a second on lavapipe 22.3, and within
// two on 25.0, where stores, and loads beside them, take most of it.
constexpr std::int64_t kMostForwardSize = 1200;  // products and what a sum adds
constexpr std::int64_t kStoreSize = 2;
constexpr std::int64_t kLoadAndStoreSize = 6;
constexpr std::int64_t kMostWeightProducts = 2600;

// Floats of the widest vector that rows of this width allow at every row's beginning.
std::uint32_t vector_width(std::int64_t width) {
  return width % 4 == 0 ? 4 : width % 2 == 0 ? 2 : 1;
}

runtime::TexelFormat texels_of(std::uint32_t floats) {
  using enum runtime::TexelFormat;
  return floats == 1 ? r32f : floats == 2 ? rg32f : rgba32f;
}

// Tiles of nearly equal size, none larger than `most`.
std::int64_t tile_size(std::int64_t count, std::int64_t most) {
  return divide_up(count, divide_up(count, most));
}

// How a row is cut: whole where it fits, else into tiles of columns.
struct RowTiles {
  std::int64_t columns = 0;
  std::int64_t tiles = 1;
};

// Columns of the source that `columns` columns of the result read.
std::int64_t span_of(std::int64_t columns, const Window2d& w, bool data_gradient) {
  const std::int64_t reach = w.dilation.width * (w.kernel.width - 1);
  return data_gradient ? (columns + reach) / w.stride.width + 2
                       : (columns - 1) * w.stride.width + reach + 1;
}

// `source_width`: of the rows that are read, all of which an invocation loads where nothing is cut.
RowTiles tile_row(std::int64_t width, std::int64_t source_width, const Window2d& w,
                  bool data_gradient) {
  if (width <= kMostColumns && source_width <= kMostSpan &&
      span_of(width, w, data_gradient) <= kMostSpan) {
    return {width, 1};
  }
  std::int64_t columns = kMostColumns / 2;
  while (columns > 1 && span_of(columns, w, data_gradient) > kMostSpan) columns /= 2;
  // Tiles of the data gradient must begin at a multiple of the stride.
  if (data_gradient) columns = std::max<std::int64_t>(columns / w.stride.width, 1) * w.stride.width;
  // One tile would mean an uncut row to the kernels; a second one may be empty.
  return {columns, std::max<std::int64_t>(2, divide_up(width, columns))};
}

// Forward and data gradient in the kernel's terms: a result is made from a source.
struct Pass {
  bool data_gradient;
  ValueId source, weight, result, bias, output;
  ActivationSpec activation, gradient_activation;
  std::int64_t source_channels, result_channels;  // of a group
  Size2d source_size, result_size;
};

// Mirrors the push constants of shaders/conv2d_rows.comp.
struct RowsPush {
  std::uint32_t batch;
  std::uint32_t source_row, result_row;
  std::uint32_t source_channels, result_channels;
  std::uint32_t source_height, result_height;
  std::uint32_t channel_tiles, groups, weight_row;
  std::uint32_t source_replica, weight_replica, result_replica, bias_replica, output_replica;
  float alpha;
  float scale, unscale;
};

// Of the gradient that a pass reads; mixed precision alone looks at it.
float scale_of(const Conv2dSizes& s, bool gradient) { return gradient ? loss_scale(s.batch) : 1; }

RowsPush push_of(const Lowering& l, const Conv2dSizes& s, const Pass& pass,
                 std::int64_t channel_tiles) {
  const auto replica_of = [&](ValueId id) { return id == kNoValue ? 0 : l.replica_stride(id); };
  return {.batch = to_u32(s.batch),
          .source_row = to_u32(l.layout(pass.source).row_stride),
          .result_row = to_u32(l.layout(pass.result).row_stride),
          .source_channels = to_u32(pass.source_channels),
          .result_channels = to_u32(pass.result_channels),
          .source_height = to_u32(pass.source_size.height),
          .result_height = to_u32(pass.result_size.height),
          .channel_tiles = to_u32(channel_tiles),
          .groups = to_u32(s.groups),
          .weight_row = to_u32(l.layout(pass.weight).row_stride),
          .source_replica = replica_of(pass.source),
          .weight_replica = replica_of(pass.weight),
          .result_replica = replica_of(pass.result),
          .bias_replica = replica_of(pass.bias),
          .output_replica = replica_of(pass.output),
          .alpha = pass.activation.kind != Activation::none ? pass.activation.alpha
                                                            : pass.gradient_activation.alpha,
          .scale = scale_of(s, pass.data_gradient),
          .unscale = 1 / scale_of(s, pass.data_gradient)};
}

// What an invocation makes: rows of the result (or tiles of rows) of some channels.
struct ResultTile {
  std::int64_t channels = 1, rows = 1;
  double cost = std::numeric_limits<double>::infinity();  // of a turn of all invocations
};

ResultTile tile_result(const Conv2dSizes& s, const Pass& pass, const RowTiles& row) {
  const std::int64_t span =
      row.tiles == 1
          ? std::max(pass.source_size.width, span_of(row.columns, s.window, pass.data_gradient))
          : span_of(row.columns, s.window, pass.data_gradient);
  const std::uint32_t source_floats = row.tiles == 1 ? vector_width(pass.source_size.width) : 1;
  const std::int64_t items = s.batch * pass.result_size.height * row.tiles;
  const std::int64_t size_of_sum =
      pass.gradient_activation.kind != Activation::none ? kLoadAndStoreSize : kStoreSize;
  ResultTile best;
  for (std::int64_t rows = 1;
       rows * std::max(row.columns, divide_up(span, 2)) <= kMostColumns || rows == 1; ++rows) {
    for (std::int64_t most = 1; most <= kMostChannels; ++most) {
      const std::int64_t channels = tile_size(pass.result_channels, most);
      const std::int64_t sums = rows * row.columns * channels;
      const std::int64_t products = sums * s.window.kernel.width;
      if (products + sums * size_of_sum > kMostForwardSize && rows * channels > 1) continue;
      const double loads = load_cost(rows * span, source_floats) +
                           load_cost(divide_up(channels, kWorkgroup) * s.window.kernel.width, 1);
      const double cost = static_cast<double>(divide_up(pass.result_channels, channels) *
                                              divide_up(items, rows * kWorkgroup)) *
                          body_cost(loads, products, sums);
      if (cost < best.cost) best = {channels, rows, cost};
    }
  }
  return best;
}

void lower_pass(Lowering& l, std::string label, const Conv2dSizes& s, const Pass& pass) {
  const RowTiles row =
      tile_row(pass.result_size.width, pass.source_size.width, s.window, pass.data_gradient);
  const ResultTile tile = tile_result(s, pass, row);
  const std::int64_t channel_tiles = divide_up(pass.result_channels, tile.channels);
  const bool whole = row.tiles == 1;
  const ValueId bias = pass.bias, output = pass.output;
  PlannedDispatch d;
  d.label = std::move(label);
  d.shader = "conv2d_rows";
  d.constants = {kWorkgroup, bias != kNoValue ? 1u : 0u,
                 static_cast<std::uint32_t>(pass.activation.kind),
                 static_cast<std::uint32_t>(pass.gradient_activation.kind)};
  append_constants(d.constants, s.window);
  for (std::int64_t value : {std::int64_t{pass.data_gradient}, tile.channels, row.columns,
                             row.tiles, pass.source_size.width, pass.result_size.width}) {
    d.constants.push_back(to_u32(value));
  }
  const std::uint32_t source_floats = whole ? vector_width(pass.source_size.width) : 1;
  const std::uint32_t result_floats = whole ? vector_width(pass.result_size.width) : 1;
  d.constants.push_back(source_floats);
  d.constants.push_back(result_floats);
  d.constants.push_back(to_u32(tile.rows));
  d.constants.push_back(s.precision == Precision::mixed ? 1 : 0);
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  d.bindings = {
      l.read(pass.source).as_texels(texels_of(source_floats)),
      l.read(pass.weight).as_texels(runtime::TexelFormat::r32f), l.write(pass.result),
      l.read(bias != kNoValue ? bias : pass.source),
      l.read(output != kNoValue ? output : pass.source).as_texels(texels_of(result_floats))};
  d.push = push_bytes(push_of(l, s, pass, channel_tiles));
  const std::int64_t items = s.batch * pass.result_size.height * row.tiles;
  d.groups = l.groups_for(channel_tiles * s.groups * divide_up(items, tile.rows * kWorkgroup), 1);
  d.turns = pass.source_channels * s.window.kernel.height + 1;  // all other loops are unrolled
  d.for_fewer_turns = kForFewerTurns;
  d.flops = conv2d_flops(s);
  d.bytes = bytes_of(l.layout(pass.source).size() + l.layout(pass.result).size());
  l.dispatch(std::move(d));
}

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
    const double loads =
        load_cost(out_channels * row.columns, whole ? vector_width(s.output.width) : 1) +
        load_cost(divide_up(in_channels * kernel_rows, kWorkgroup) * x_width,
                  whole ? vector_width(s.input.width) : 1);
    return static_cast<double>(count(s)) * body_cost(loads, products(s), sums(s));
  }
};

constexpr std::int64_t kMostSums = 192;
constexpr std::int64_t kMostOutChannels = 8;
constexpr std::int64_t kMostInChannels = 8;

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
        if (tiles.sums(s) > kMostSums || tiles.products(s) > kMostWeightProducts) continue;
        if (tiles.cost(s) < best.cost(s)) best = tiles;
      }
    }
  }
  return best;
}

std::int64_t rows_of(const Conv2dSizes& s, const WeightTiles& tiles) {
  return s.batch * s.output.height * tiles.row.tiles;
}

// The batch is split until there are about this many workgroups.
constexpr std::int64_t kWantedGroups = 16;
constexpr LoopTurns kRowTurns = {};  // all other loops are unrolled

std::uint32_t split_batch(const Conv2dSizes& s, const WeightTiles& tiles,
                          const runtime::DeviceProfile& device) {
  const std::int64_t rows = rows_of(s, tiles);
  const std::int64_t least = divide_up(rows, kRowTurns.most_terms(device));
  const std::int64_t wanted = std::clamp<std::int64_t>(kWantedGroups / tiles.count(s), least, rows);
  return to_u32(divide_up(rows, divide_up(rows, wanted)));
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
          .rows_per_split = to_u32(divide_up(rows_of(s, tiles), sum.splits)),
          .split_stride = split ? to_u32(sum.split_elements) : 0,
          .bias_offset = split ? to_u32(l.layout(o.dweight).size()) : 0,
          .sum_bias = o.dbias != kNoValue ? 1u : 0u,
          .scale = scale_of(s, true),
          .unscale = 1 / scale_of(s, true)};
}

}  // namespace

bool supports(const Conv2dSizes& s, const runtime::DeviceProfile& device) {
  // A workgroup is one subgroup, whose lanes hand the weights round.
  const bool made_for =
      reads_texels(device) && device.subgroup_shuffle && device.subgroup_size == kWorkgroup;
  return made_for && s.window.kernel.width <= kMostKernelWidth &&
         span_of(1, s.window, false) <= kMostSpan && s.window.stride.width <= kMostColumns;
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dForward& o) {
  lower_pass(l, fmt::format("{} conv2d", label), s,
             {.data_gradient = false,
              .source = o.x,
              .weight = o.weight,
              .result = o.y,
              .bias = o.bias,
              .output = kNoValue,
              .activation = o.activation,
              .gradient_activation = {},
              .source_channels = s.in_channels / s.groups,
              .result_channels = s.out_channels / s.groups,
              .source_size = s.input,
              .result_size = s.output});
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dDataGradientOperands& o) {
  lower_pass(l, fmt::format("{} conv2d data gradient", label), s,
             {.data_gradient = true,
              .source = o.dy,
              .weight = o.weight,
              .result = o.dx,
              .bias = kNoValue,
              .output = o.gradient_output,
              .activation = {},
              .gradient_activation = o.gradient_activation,
              .source_channels = s.out_channels / s.groups,
              .result_channels = s.in_channels / s.groups,
              .source_size = s.output,
              .result_size = s.input});
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dWeightGradientOperands& o) {
  const WeightTiles tiles = tile_weights(s);
  const std::uint32_t splits = split_batch(s, tiles, l.device());
  const SplitSum sum = make_split_sum(l, o.dweight, o.dbias, splits);
  const RowTiles& row = tiles.row;
  const bool whole = row.tiles == 1;
  PlannedDispatch d;
  d.label = fmt::format("{} conv2d weight gradient", label);
  d.shader = "conv2d_rows_weight_gradient";
  d.constants = {kWorkgroup, 0, 0, 0};
  append_constants(d.constants, s.window);
  for (std::int64_t value : {tiles.out_channels, tiles.in_channels, tiles.kernel_rows, row.columns,
                             row.tiles, s.input.width, s.output.width}) {
    d.constants.push_back(to_u32(value));
  }
  const std::uint32_t x_floats = whole ? vector_width(s.input.width) : 1;
  const std::uint32_t dy_floats = whole ? vector_width(s.output.width) : 1;
  d.constants.push_back(x_floats);
  d.constants.push_back(dy_floats);
  d.constants.push_back(s.precision == Precision::mixed ? 1 : 0);
  d.bindings = {l.read(o.dy).as_texels(texels_of(dy_floats)),
                l.read(o.x).as_texels(texels_of(x_floats)), sum.result_binding(l),
                sum.vector_binding(l)};
  d.push = push_bytes(weight_push_of(l, s, o, tiles, sum));
  d.groups = l.groups_for(tiles.count(s), 1);
  d.groups[2] = splits;
  d.turns = kRowTurns.of(divide_up(rows_of(s, tiles), splits));
  d.flops = conv2d_flops(s);
  d.bytes = bytes_of(l.layout(o.dy).size() + l.layout(o.x).size());
  l.dispatch(std::move(d));
  lower_split_sum(l, fmt::format("{} conv2d weight gradient", label), sum);
}

}  // namespace vktrain::nn::conv2d_rows
