// Forward pass and data gradient by the "rows" kernel: choice of its tiles and lowering; see
// shaders/conv2d_rows.comp.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "nn/ops/conv2d_pass.h"
#include "nn/ops/conv2d_rows_tiles.h"

namespace vktrain::nn::conv2d_rows {
namespace {

using runtime::TexelFormat;

constexpr std::int64_t kMostChannels = 16;
constexpr std::int64_t kMostKernelRows = 4;  // that a turn adds
constexpr std::int64_t kMostHeldRows = 8;    // that are held for several tiles of channels
constexpr std::int64_t kHeldChannels = 2;    // of such a tile: poolings store in pairs
constexpr std::int64_t kLeastGroups = 16;    // that keep a CPU's cores busy
constexpr std::int64_t kMostKernelWidth = 8;

// Before and after the turns, in instructions: places of rows, bias, branches around stores.
constexpr double kInvocationCost = 500;

// Products and what the sums add: keeps the compilation of a kernel within about a second on
// lavapipe, where stores, and loads beside them, take most of it.
constexpr std::int64_t kMostSize = 1800;
constexpr std::int64_t kStoreSize = 2;
constexpr std::int64_t kLoadAndStoreSize = 6;

// Forward and data gradient in the kernel's terms: a result is made from a source.
struct Pass {
  bool data_gradient;
  ValueId source, weight, result, bias, output, winners;
  ActivationSpec activation, gradient_activation;
  std::int64_t source_channels, result_channels;  // of a group
  Size2d source_size, result_size;                // before pooling

  bool pools(const Conv2dSizes& s) const { return s.pooled && !data_gradient; }
  bool reads_pooled(const Conv2dSizes& s) const { return s.pooled && data_gradient; }
  // Width of the rows in memory.
  std::int64_t source_row(const Conv2dSizes& s) const {
    return reads_pooled(s) ? output_row_width(s) : source_size.width;
  }
  std::int64_t result_row(const Conv2dSizes& s) const {
    return pools(s) ? output_row_width(s) : result_size.width;
  }
};

// Mirrors the push constants of shaders/conv2d_rows.comp.
struct RowsPush {
  std::uint32_t batch;
  std::uint32_t source_row, result_row;
  std::uint32_t source_channels, result_channels;
  std::uint32_t source_height, result_height;
  std::uint32_t channel_tiles, groups, weight_row;
  std::uint32_t source_replica, weight_replica, result_replica, bias_replica, output_replica;
  std::uint32_t winners_row, winners_replica;
  float alpha;
  float scale, unscale;
};

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
          .winners_row = s.pooled ? to_u32(l.layout(pass.winners).row_stride) : 0,
          .winners_replica = replica_of(pass.winners),
          .alpha = pass.activation.kind != Activation::none ? pass.activation.alpha
                                                            : pass.gradient_activation.alpha,
          .scale = scale_of(s, pass.data_gradient),
          .unscale = 1 / scale_of(s, pass.data_gradient)};
}

// What an invocation makes: rows of the result (or tiles of rows) of some channels, adding
// `kernel_rows` rows of the kernel a turn.
struct ResultTile {
  std::int64_t channels = 1, rows = 1, kernel_rows = 1;
  std::int64_t channel_turns = 1;  // more: so many tiles of channels from rows that it holds
  double cost = std::numeric_limits<double>::infinity();  // of all invocations
};

// Of the rows of the result, as in the shader.
std::int64_t phases(const Conv2dSizes& s, const Pass& pass) {
  return pass.data_gradient && s.window.dilation.height == 1 ? s.window.stride.height : 1;
}

// Rows of the kernel that a result channel sums over, at most.
std::int64_t summed_rows(const Conv2dSizes& s, const Pass& pass) {
  return pass.source_channels * divide_up(s.window.kernel.height, phases(s, pass));
}

// Rows of the result, or tiles of them, of a phase.
std::int64_t phase_items(const Conv2dSizes& s, const Pass& pass, const RowTiles& row) {
  return s.batch * divide_up(pass.result_size.height, phases(s, pass)) * row.tiles;
}

// The tiles to choose from, without their costs.
template <class Visit>
void visit_tiles(const Pass& pass, std::int64_t most_rows, Visit visit) {
  for (std::int64_t rows = 1; rows <= most_rows; ++rows) {
    for (std::int64_t most = 1; most <= kMostChannels; ++most) {
      const std::int64_t channels = tile_size(pass.result_channels, most);
      for (std::int64_t kernel_rows = 1; kernel_rows <= kMostKernelRows; ++kernel_rows) {
        visit({channels, rows, kernel_rows});
      }
    }
  }
}

ResultTile tile_result(const Conv2dSizes& s, const Pass& pass, const RowTiles& row) {
  const bool whole = row.tiles == 1;
  const std::int64_t reach = span_of(row.columns, s.window, pass.data_gradient);
  const std::int64_t span = whole ? std::max(pass.source_size.width, reach) : reach;
  const std::uint32_t source_floats = texel_floats(row, pass.source_row(s));
  const std::int64_t items = phase_items(s, pass, row);
  const auto rows_cost = [&](std::int64_t rows) {
    return pass.reads_pooled(s) ? tiles_load_cost(rows, pass.source_size.width, source_floats)
                                : load_cost(rows * span, source_floats);
  };
  const std::int64_t size_of_sum =
      pass.gradient_activation.kind != Activation::none ? kLoadAndStoreSize : kStoreSize;
  const std::int64_t most_rows =
      std::max<std::int64_t>(1, kMostColumns / std::max(row.columns, divide_up(span, 2)));
  ResultTile best;
  visit_tiles(pass, most_rows, [&](ResultTile tile) {
    const std::int64_t sums = tile.rows * row.columns * tile.channels;
    const std::int64_t products = sums * s.window.kernel.width * tile.kernel_rows;
    const bool least = tile.rows * tile.channels * tile.kernel_rows == 1;
    const bool fits = products <= kMostCachedProducts && products + sums * size_of_sum <= kMostSize;
    if (!fits && !least) return;
    const double loads =
        rows_cost(tile.kernel_rows * tile.rows) +
        load_cost(tile.kernel_rows * divide_up(tile.channels, kWorkgroup) * s.window.kernel.width,
                  1);
    const double turns = static_cast<double>(divide_up(summed_rows(s, pass), tile.kernel_rows));
    tile.cost = static_cast<double>(divide_up(pass.result_channels, tile.channels) *
                                    divide_up(items, tile.rows * kWorkgroup)) *
                (kInvocationCost + turns * body_cost(loads, products, sums));
    if (tile.cost < best.cost) best = tile;
  });
  return best;
}

// Where the kernel reads few rows of the source, as in a first layer, an invocation holds them and
// makes its channels one pair after the other: else the sums of all of them would wait for the next
// turn's row. `tile`: what it makes otherwise.
ResultTile hold_rows(const Conv2dSizes& s, const Pass& pass, const RowTiles& row,
                     const ResultTile& tile) {
  const std::int64_t kernel_rows = summed_rows(s, pass);
  const std::int64_t products = kHeldChannels * row.columns * s.window.kernel.width * kernel_rows;
  if (pass.data_gradient || kernel_rows > kMostHeldRows || products > kMostCachedProducts)
    return tile;
  const std::int64_t pairs = divide_up(pass.result_channels, kHeldChannels);
  const std::int64_t items = divide_up(phase_items(s, pass, row), kWorkgroup);
  const std::int64_t turns =
      tile_size(pairs, std::max<std::int64_t>(1, s.groups * pairs * items / kLeastGroups));
  if (turns == 1) return tile;
  return {.channels = kHeldChannels, .rows = 1, .kernel_rows = kernel_rows, .channel_turns = turns};
}

void lower_pass(Lowering& l, std::string label, const Conv2dSizes& s, const Pass& pass) {
  const RowTiles row =
      tile_row(pass.result_size.width, pass.source_size.width, s.window, pass.data_gradient);
  const ResultTile tile = hold_rows(s, pass, row, tile_result(s, pass, row));
  const std::int64_t channel_tiles =
      divide_up(pass.result_channels, tile.channels * tile.channel_turns);
  const ValueId bias = pass.bias, output = pass.output, winners = pass.winners;
  PlannedDispatch d;
  d.label = std::move(label);
  d.shader = "conv2d_rows";
  d.constants = {kWorkgroup, bias != kNoValue ? 1u : 0u,
                 static_cast<std::uint32_t>(pass.activation.kind),
                 static_cast<std::uint32_t>(pass.gradient_activation.kind)};
  append_constants(d.constants, s.window);
  const std::uint32_t source_floats = texel_floats(row, pass.source_row(s));
  const std::uint32_t result_floats = texel_floats(row, pass.result_row(s));
  append_constants(d.constants, {pass.data_gradient, tile.channels, row.columns, row.tiles,
                                 pass.source_size.width, pass.result_size.width, source_floats,
                                 result_floats, tile.rows, s.precision == Precision::mixed,
                                 tile.kernel_rows, s.pooled, tile.channel_turns});
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  d.bindings = {
      l.read(pass.source).as_texels(texels_of(source_floats)),
      l.read(pass.weight)
          .as_texels(tile.channel_turns > 1 ? TexelFormat::rgba32f : TexelFormat::r32f),
      l.write(pass.result),
      l.read(bias != kNoValue ? bias : pass.weight).as_texels(TexelFormat::r32f),
      l.read(output != kNoValue ? output : pass.source).as_texels(texels_of(result_floats)),
      l.write(pass.pools(s) ? winners : pass.result),
      l.read(pass.reads_pooled(s) ? winners : pass.weight).as_texels(TexelFormat::r32ui)};
  d.push = push_bytes(push_of(l, s, pass, channel_tiles));
  const std::int64_t items = phase_items(s, pass, row);
  d.groups = l.groups_for(
      channel_tiles * s.groups * phases(s, pass) * divide_up(items, tile.rows * kWorkgroup), 1);
  d.turns = divide_up(summed_rows(s, pass), tile.kernel_rows) +
            tile.channel_turns;  // all other loops are unrolled
  d.for_fewer_turns = kForFewerTurns;
  d.flops = conv2d_flops(s);
  d.bytes = bytes_of(l.layout(pass.source).size() + l.layout(pass.result).size());
  if (s.pooled) d.bytes += bytes_of(l.layout(winners).size());
  l.dispatch(std::move(d));
}

}  // namespace

bool supports(const Conv2dSizes& s, const runtime::DeviceProfile& device) {
  // A workgroup is one subgroup, whose lanes hand the weights round.
  const bool made_for =
      reads_texels(device) && device.subgroup_shuffle && device.subgroup_size == kWorkgroup;
  return made_for && s.window.kernel.width <= kMostKernelWidth &&
         span_of(1, s.window, false) <= kMostSpan && s.window.stride.width <= kMostColumns;
}

bool pools(const Conv2dSizes& s, const runtime::DeviceProfile& device) {
  return supports(s, device) && s.output.height % 2 == 0 && s.output.width % 2 == 0 &&
         tile_row(s.output.width, s.input.width, s.window, false).tiles == 1 &&
         tile_row(s.input.width, s.output.width, s.window, true).tiles == 1;
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dForward& o) {
  lower_pass(l, fmt::format("{} conv2d{}", label, s.pooled ? " and max_pool2d" : ""), s,
             {.data_gradient = false,
              .source = o.x,
              .weight = o.weight,
              .result = o.y,
              .bias = o.bias,
              .output = kNoValue,
              .winners = o.winners,
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
              .winners = o.winners,
              .activation = {},
              .gradient_activation = o.gradient_activation,
              .source_channels = s.out_channels / s.groups,
              .result_channels = s.in_channels / s.groups,
              .source_size = s.output,
              .result_size = s.input});
}

}  // namespace vktrain::nn::conv2d_rows
