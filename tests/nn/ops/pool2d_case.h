// Cases that the tests of the pooling operations share: poolings of images, and
// windows drawn at random.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>

#include "nn/ops/window2d.h"
#include "tests/nn/ops/image_case.h"

namespace vktrain::testing {

struct Pool2dCase {
  std::int64_t batch = 1;
  std::int64_t channels = 1;
  nn::Size2d input{1, 1};
  nn::Window2d window = {};
};

using Pooling = std::function<nn::ValueId(nn::Graph&, nn::ValueId images, const nn::Window2d&)>;

inline std::string to_string(const Pool2dCase& p) {
  return fmt::format("[{}, {}, {}], kernel {}, stride {}, padding {} and {}, dilation {}", p.batch,
                     p.channels, to_string(p.input), to_string(p.window.kernel),
                     to_string(p.window.stride), to_string(p.window.padding_begin),
                     to_string(p.window.padding_end), to_string(p.window.dilation));
}

inline OpCase pooling_case(const Pool2dCase& p, std::uint64_t seed, const Pooling& pooling) {
  return image_case({p.batch, p.channels, p.input.height, p.input.width}, seed,
                    [p, pooling](nn::Graph& graph, nn::ValueId images) {
                      return pooling(graph, images, p.window);
                    });
}

// Kernels of 1 to 5, strides of 1 to 3, padding smaller than the kernel, on planes that straddle
// vec4s; a dilation of 1 to `largest_dilation`. The window fits.
inline Pool2dCase random_pool2d_case(nn::PhiloxRng& rng, std::uint32_t largest_dilation) {
  const auto draw = [&](std::int64_t first, std::int64_t last) {
    return first + rng.below(static_cast<std::uint32_t>(last - first + 1));
  };
  const auto draw_size = [&](std::int64_t first, nn::Size2d last) {
    return nn::Size2d{draw(first, last.height), draw(first, last.width)};
  };
  Pool2dCase p;
  p.batch = draw(1, 33);
  p.channels = draw(1, 5);
  nn::Window2d& w = p.window;
  w.kernel = draw_size(1, {5, 5});
  w.stride = draw_size(1, {3, 3});
  w.dilation = draw_size(1, {largest_dilation, largest_dilation});
  w.padding_begin = draw_size(0, {w.kernel.height - 1, w.kernel.width - 1});
  w.padding_end = draw_size(0, {w.kernel.height - 1, w.kernel.width - 1});
  // Every window then meets the input, dilated or not.
  p.input = draw_size(0, {9, 9});
  p.input.height += w.dilation.height * (w.kernel.height - 1) + 1;
  p.input.width += w.dilation.width * (w.kernel.width - 1) + 1;
  return p;
}

// The message of pooling x of `shape`.
inline std::string pooling_error(const nn::Shape& shape, const nn::Window2d& window,
                                 const Pooling& pooling) {
  nn::ParameterSet parameters;
  nn::Graph graph(parameters);
  const nn::ValueId x = graph.add_external("x", shape, nn::DType::f32, false);
  return error_of([&] { pooling(graph, x, window); });
}

}  // namespace vktrain::testing
