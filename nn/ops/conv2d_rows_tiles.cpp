#include "nn/ops/conv2d_rows_tiles.h"

#include <algorithm>

namespace vktrain::nn::conv2d_rows {
namespace {

constexpr double kProductCost = 2;
constexpr double kSumCost = 3;
constexpr double kChoiceCost = 3;

}  // namespace

double load_cost(std::int64_t count, std::uint32_t texel_floats) {
  const double of_a_float = texel_floats == 4 ? 10 : texel_floats == 2 ? 17 : 28;
  return of_a_float * static_cast<double>(count);
}

double tiles_load_cost(std::int64_t rows, std::int64_t width, std::uint32_t texel_floats) {
  return load_cost(rows * width / 2, texel_floats) + load_cost(rows, 1) +
         kChoiceCost * static_cast<double>(rows * width);
}

double body_cost(double loads, std::int64_t products, std::int64_t sums) {
  return loads + kProductCost * static_cast<double>(products) +
         kSumCost * static_cast<double>(sums);
}

runtime::TexelFormat texels_of(std::uint32_t floats) {
  using enum runtime::TexelFormat;
  return floats == 1 ? r32f : floats == 2 ? rg32f : rgba32f;
}

std::int64_t tile_size(std::int64_t count, std::int64_t most) {
  return divide_up(count, divide_up(count, most));
}

std::uint32_t texel_floats(const RowTiles& row, std::int64_t width) {
  if (row.tiles > 1) return 1;
  return width % 4 == 0 ? 4 : width % 2 == 0 ? 2 : 1;
}

std::int64_t output_row_width(const Conv2dSizes& s) {
  return s.pooled ? s.output.width / 2 : s.output.width;
}

std::int64_t span_of(std::int64_t columns, const Window2d& w, bool data_gradient) {
  const std::int64_t reach = w.dilation.width * (w.kernel.width - 1);
  return data_gradient ? (columns + reach) / w.stride.width + 2
                       : (columns - 1) * w.stride.width + reach + 1;
}

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

float scale_of(const Conv2dSizes& s, bool gradient) { return gradient ? loss_scale(s.batch) : 1; }

}  // namespace vktrain::nn::conv2d_rows
