#include "tests/nn/ops/conv2d_case.h"

#include <fmt/format.h>

#include "nn/ops/reshape.h"

namespace vktrain::testing {

using namespace nn;

namespace {

// Gives every convolution all of its epilogues. Each operation is compared with its reference on
// the inputs it gets, whatever the sense of the whole.
void add_epilogues(Graph& graph, std::int64_t out_channels, const ActivationSpec& spec) {
  const ValueId bias = graph.add_parameter({.name = "1.bias", .shape = {out_channels}});
  for (auto& operation : graph.operations()) {
    std::unique_ptr<Operation> merged;
    if (const auto* forward = dynamic_cast<const Conv2d*>(operation.get())) {
      merged = std::make_unique<Conv2d>(forward->x(), forward->weight(), forward->y(),
                                        forward->options(), Conv2dEpilogue{bias, spec});
    } else if (const auto* weight = dynamic_cast<const Conv2dWeightGradient*>(operation.get())) {
      merged = std::make_unique<Conv2dWeightGradient>(weight->dy(), weight->x(), weight->dweight(),
                                                      weight->options(), graph.gradient_slot(bias));
    } else if (const auto* data = dynamic_cast<const Conv2dDataGradient*>(operation.get())) {
      ValueId output = kNoValue;
      for (const auto& other : graph.operations()) {
        if (const auto* user = dynamic_cast<const Conv2d*>(other.get())) output = user->x();
      }
      merged = std::make_unique<Conv2dDataGradient>(data->dy(), data->weight(), data->dx(),
                                                    data->options(), spec, output);
    }
    if (!merged) continue;
    merged->label = operation->label;
    operation = std::move(merged);
  }
}

}  // namespace

std::string to_string(const ConvCase& c) {
  const Window2d& w = c.options.window;
  return fmt::format(
      "batch {}, {} channels of {} -> {} channels, {} groups, kernel {}, stride {}, padding {} and "
      "{}, dilation {}",
      c.batch, c.in_channels, to_string(c.input), c.out_channels, c.options.groups,
      to_string(w.kernel), to_string(w.stride), to_string(w.padding_begin),
      to_string(w.padding_end), to_string(w.dilation));
}

OpCase network(const ConvCase& conv, const ActivationSpec& spec, std::uint64_t seed) {
  OpCase c;
  c.batch = conv.batch;
  c.columns = conv.in_channels * conv.input.height * conv.input.width;
  c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
  c.seed = seed;
  c.build = [conv, spec](Graph& graph, ValueId x) {
    const Shape shape = {kBatch, conv.in_channels, conv.input.height, conv.input.width};
    const ValueId image = activation(graph, reshape(graph, x, shape, "0"), spec, "0");
    const ValueId weight =
        graph.add_parameter({.name = "1.weight", .shape = conv.weight_shape(), .penalised = true});
    return conv2d(graph, image, weight, conv.options, "1");
  };
  if (spec.kind != Activation::none) {
    c.rewrite = [conv, spec](Graph& graph) { add_epilogues(graph, conv.out_channels, spec); };
  }
  return c;
}

}  // namespace vktrain::testing
