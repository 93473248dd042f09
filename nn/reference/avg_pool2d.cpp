#include "nn/reference/avg_pool2d.h"

#include <algorithm>
#include <vector>

#include "nn/reference/window_walk.h"

namespace vktrain::nn::reference {
namespace {

// Of each of the outputs.
std::vector<double> divisors(const Pool2dSizes& sizes, bool count_include_pad,
                             std::size_t outputs) {
  if (count_include_pad) {
    const Size2d kernel = sizes.window.kernel;
    return std::vector<double>(outputs, static_cast<double>(kernel.height * kernel.width));
  }
  std::vector<double> counts(outputs, 0.0);
  walk_windows(sizes, outputs, [&](std::size_t output, std::size_t) { ++counts[output]; });
  return counts;
}

}  // namespace

void avg_pool2d(const Pool2dSizes& sizes, bool count_include_pad, std::span<const double> x,
                std::span<double> y) {
  const std::vector<double> divisor = divisors(sizes, count_include_pad, y.size());
  std::fill(y.begin(), y.end(), 0.0);
  walk_windows(sizes, y.size(), [&](std::size_t o, std::size_t i) { y[o] += x[i]; });
  for (std::size_t o = 0; o < y.size(); ++o) y[o] /= divisor[o];
}

void avg_pool2d_backward(const Pool2dSizes& sizes, bool count_include_pad,
                         std::span<const double> dy, std::span<double> dx) {
  const std::vector<double> divisor = divisors(sizes, count_include_pad, dy.size());
  std::fill(dx.begin(), dx.end(), 0.0);
  walk_windows(sizes, dy.size(),
               [&](std::size_t o, std::size_t i) { dx[i] += dy[o] / divisor[o]; });
}

}  // namespace vktrain::nn::reference
