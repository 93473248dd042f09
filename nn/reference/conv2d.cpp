#include "nn/reference/conv2d.h"

#include <algorithm>
#include <cstddef>

namespace vktrain::nn::reference {
namespace {

// Calls visit(index in y, index in x, index in weight) for every product of the convolution.
template <class Visit>
void for_each_product_of(const Conv2dSizes& s, std::int64_t n, std::int64_t o, std::int64_t oh,
                         std::int64_t ow, Visit visit) {
  const Window2d& window = s.window;
  const std::int64_t group_channels = s.in_channels / s.groups;
  const std::int64_t group = o / (s.out_channels / s.groups);
  const std::int64_t y = ((n * s.out_channels + o) * s.output.height + oh) * s.output.width + ow;
  for (std::int64_t c = 0; c < group_channels; ++c) {
    const std::int64_t plane = n * s.in_channels + group * group_channels + c;
    for (std::int64_t i = 0; i < window.kernel.height; ++i) {
      const std::int64_t h =
          oh * window.stride.height - window.padding_begin.height + i * window.dilation.height;
      if (h < 0 || h >= s.input.height) continue;
      for (std::int64_t j = 0; j < window.kernel.width; ++j) {
        const std::int64_t w =
            ow * window.stride.width - window.padding_begin.width + j * window.dilation.width;
        if (w < 0 || w >= s.input.width) continue;
        const std::int64_t x = (plane * s.input.height + h) * s.input.width + w;
        const std::int64_t weight =
            ((o * group_channels + c) * window.kernel.height + i) * window.kernel.width + j;
        visit(static_cast<std::size_t>(y), static_cast<std::size_t>(x),
              static_cast<std::size_t>(weight));
      }
    }
  }
}

template <class Visit>
void for_each_product(const Conv2dSizes& s, Visit visit) {
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t o = 0; o < s.out_channels; ++o) {
      for (std::int64_t oh = 0; oh < s.output.height; ++oh) {
        for (std::int64_t ow = 0; ow < s.output.width; ++ow) {
          for_each_product_of(s, n, o, oh, ow, visit);
        }
      }
    }
  }
}

}  // namespace

void conv2d(const Conv2dSizes& sizes, std::span<const double> x, std::span<const double> weight,
            std::span<double> y) {
  std::ranges::fill(y, 0.0);
  for_each_product(sizes, [&](std::size_t in_y, std::size_t in_x, std::size_t in_weight) {
    y[in_y] += x[in_x] * weight[in_weight];
  });
}

void conv2d_data_gradient(const Conv2dSizes& sizes, std::span<const double> dy,
                          std::span<const double> weight, std::span<double> dx) {
  std::ranges::fill(dx, 0.0);
  for_each_product(sizes, [&](std::size_t in_y, std::size_t in_x, std::size_t in_weight) {
    dx[in_x] += dy[in_y] * weight[in_weight];
  });
}

void conv2d_weight_gradient(const Conv2dSizes& sizes, std::span<const double> dy,
                            std::span<const double> x, std::span<double> dweight) {
  std::ranges::fill(dweight, 0.0);
  for_each_product(sizes, [&](std::size_t in_y, std::size_t in_x, std::size_t in_weight) {
    dweight[in_weight] += dy[in_y] * x[in_x];
  });
}

}  // namespace vktrain::nn::reference
