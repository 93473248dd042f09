#include "nn/reference/max_pool2d.h"

#include <algorithm>
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

}  // namespace vktrain::nn::reference
