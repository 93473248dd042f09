#include "nn/layers/linear.h"

#include <fmt/format.h>

#include "nn/ops/bias_add.h"
#include "nn/ops/gemm.h"

namespace vktrain::nn {

ValueId linear(Graph& graph, ValueId x, const LinearOptions& options, std::string_view label) {
  const std::int64_t in = graph.value(x).shape.elements_per_row();
  const ValueId weight = graph.add_parameter({.name = fmt::format("{}.weight", label),
                                              .shape = {options.out, in},
                                              .initializer = options.weight_initializer,
                                              .fan_in = in,
                                              .fan_out = options.out,
                                              .penalised = true});
  const ValueId product = linear_product(graph, x, weight, label);
  if (!options.bias) return product;
  const ValueId bias = graph.add_parameter({.name = fmt::format("{}.bias", label),
                                            .shape = {options.out},
                                            .initializer = options.bias_initializer,
                                            .fan_in = in,
                                            .fan_out = options.out});
  return bias_add(graph, product, bias, label);
}

}  // namespace vktrain::nn
