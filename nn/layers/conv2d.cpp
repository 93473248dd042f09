#include "nn/layers/conv2d.h"

#include <fmt/format.h>

#include "nn/ops/bias_add.h"

namespace vktrain::nn {

ValueId conv2d_layer(Graph& graph, ValueId x, const Conv2dLayerOptions& options,
                     std::string_view label) {
  const Size2d kernel = options.convolution.window.kernel;
  const std::int64_t in = graph.value(x).shape[1] / options.convolution.groups;
  const std::int64_t area = kernel.height * kernel.width;
  const ValueId weight =
      graph.add_parameter({.name = fmt::format("{}.weight", label),
                           .shape = {options.out, in, kernel.height, kernel.width},
                           .initializer = options.weight_initializer,
                           .fan_in = in * area,
                           .fan_out = options.out * area});
  const ValueId y = conv2d(graph, x, weight, options.convolution, label);
  if (!options.bias) return y;
  const ValueId bias = graph.add_parameter({.name = fmt::format("{}.bias", label),
                                            .shape = {options.out},
                                            .initializer = options.bias_initializer,
                                            .fan_in = in * area,
                                            .fan_out = options.out * area});
  return bias_add(graph, y, bias, label);
}

}  // namespace vktrain::nn
