#include "nn/reference/max_pool2d.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "nn/reference/window_walk.h"

namespace vktrain::nn::reference {

void max_pool2d(const Pool2dSizes& sizes, std::span<const double> x, std::span<double> y,
                std::span<double> winners) {
  const auto plane = static_cast<std::size_t>(sizes.input.height * sizes.input.width);
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  std::fill(y.begin(), y.end(), kNone);
  walk_windows(sizes, y.size(), [&](std::size_t output, std::size_t input) {
    if (y[output] != kNone && x[input] <= y[output]) return;
    y[output] = x[input];
    winners[output] = static_cast<double>(input % plane);
  });
}

void max_pool2d_backward(const Pool2dSizes& sizes, std::span<const double> dy,
                         std::span<const double> winners, std::span<double> dx) {
  const auto plane = static_cast<std::size_t>(sizes.input.height * sizes.input.width);
  const auto out_plane = static_cast<std::size_t>(sizes.output.height * sizes.output.width);
  std::fill(dx.begin(), dx.end(), 0.0);
  for (std::size_t o = 0; o < dy.size(); ++o) {
    dx[o / out_plane * plane + static_cast<std::size_t>(winners[o])] += dy[o];
  }
}

void max_pool2d_packed(const Pool2dSizes& sizes, std::span<const double> x, std::span<double> y,
                       std::span<double> packed_winners) {
  const auto width = static_cast<std::size_t>(sizes.input.width), tiles = width / 2;
  std::vector<double> winners(y.size());
  max_pool2d(sizes, x, y, winners);
  std::fill(packed_winners.begin(), packed_winners.end(), 0.0);
  for (std::size_t tile = 0; tile < y.size(); ++tile) {
    const auto winner = static_cast<std::size_t>(winners[tile]);
    const std::size_t code = winner % 2 + winner / width % 2 * 2;
    packed_winners[tile / tiles] += static_cast<double>(code << (2 * (tile % tiles)));
  }
}

std::vector<double> max_pool2d_gradient(const Pool2dSizes& sizes, std::span<const double> dy,
                                        std::span<const double> packed_winners) {
  const auto width = static_cast<std::size_t>(sizes.input.width), tiles = width / 2;
  std::vector<double> dx(4 * dy.size());
  for (std::size_t tile = 0; tile < dy.size(); ++tile) {
    const auto word = static_cast<std::uint32_t>(packed_winners[tile / tiles]);
    const std::uint32_t code = word >> (2 * (tile % tiles)) & 3;
    dx[(tile / tiles * 2 + code / 2) * width + tile % tiles * 2 + code % 2] = dy[tile];
  }
  return dx;
}

}  // namespace vktrain::nn::reference
