// What the "rows" kernels (shaders/conv2d_rows.glsl) have in common on the host's side: the sizes
// of their arrays, how rows are cut, what a kernel costs lavapipe, and the scale of gradients.
#pragma once

#include <cstdint>

#include "nn/ops/conv2d_variants.h"
#include "runtime/command_graph.h"

namespace vktrain::nn::conv2d_rows {

// One vector of a CPU driver: more invocations would only add a loop around them.
inline constexpr std::uint32_t kWorkgroup = 8;
inline constexpr std::int64_t kMostColumns = 32;  // that an invocation makes
// Columns of source rows that it holds, of all its rows, for one row of the kernel.
inline constexpr std::int64_t kMostSpan = 64;
// More products of a turn overflow the 32 KiB in which a CPU keeps instructions at hand.
inline constexpr std::int64_t kMostCachedProducts = 1400;

// In instructions for 8 lanes: `count` floats read from texels of 1, 2 or 4, which are gathered
// lane by lane.
double load_cost(std::int64_t count, std::uint32_t texel_floats);
// The same for rows of `width` that are read as rows of tiles of 2 x 2 and their winners.
double tiles_load_cost(std::int64_t rows, std::int64_t width, std::uint32_t texel_floats);
// A turn of the kernel's loop: loads, products, and sums kept until the next turn.
double body_cost(double loads, std::int64_t products, std::int64_t sums);

runtime::TexelFormat texels_of(std::uint32_t floats);

// Tiles of nearly equal size, none larger than `most`.
std::int64_t tile_size(std::int64_t count, std::int64_t most);

// How a row is cut: whole where it fits, else into tiles of columns.
struct RowTiles {
  std::int64_t columns = 0;
  std::int64_t tiles = 1;
};

// Floats of the texels in which rows of this width are read: 4, 2 or 1, as it allows at the
// beginning of each row.
std::uint32_t texel_floats(const RowTiles& row, std::int64_t width);

// Width of the rows that stand for the output: half of it where it is pooled.
std::int64_t output_row_width(const Conv2dSizes& sizes);

// Columns of the source that `columns` columns of the result read.
std::int64_t span_of(std::int64_t columns, const Window2d& window, bool data_gradient);

// `source_width`: of the rows that are read, all of which an invocation loads where nothing is cut.
RowTiles tile_row(std::int64_t width, std::int64_t source_width, const Window2d& window,
                  bool data_gradient);

// Of the gradient that a pass reads; mixed precision alone looks at it.
float scale_of(const Conv2dSizes& sizes, bool gradient);

}  // namespace vktrain::nn::conv2d_rows
