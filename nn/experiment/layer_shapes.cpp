// See layer_shapes.h.
#include "nn/experiment/layer_shapes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "nn/graph.h"
#include "nn/ops/pool2d.h"
#include "runtime/error.h"

namespace vktrain::nn {

namespace {

void require_flat(const Extent& input, const std::string& subject) {
  if (input.size() == 1) return;
  throw UsageError(fmt::format(
      "{} needs an input of shape [features], but it gets {}; put a flatten layer before it.",
      subject, to_string(input)));
}

void require_planes(const Extent& input, const std::string& subject) {
  if (input.size() == 3) return;
  throw UsageError(fmt::format(
      "{} needs an input of shape [channels, height, width], but it gets {}; put it before the "
      "layer that flattens.",
      subject, to_string(input)));
}

// Operations refuse a window in words of their own; here it is the user's mistake.
template <class Call>
auto refused_as_usage(Call&& call) {
  try {
    return call();
  } catch (const Error& error) {
    throw UsageError(fmt::format("{}.", error.what()));
  }
}

Size2d plane_of(const Extent& extent) { return {extent[1], extent[2]}; }

LayerResult conv2d_result(const LayerSpec& layer, const Extent& input, const std::string& subject) {
  require_planes(input, subject);
  const std::int64_t channels = input[0];
  if (channels % layer.groups != 0 || layer.out % layer.groups != 0) {
    throw UsageError(fmt::format(
        "{} has {} groups, which must divide its input channels and its output channels, but they "
        "are {} and {}.",
        subject, layer.groups, channels, layer.out));
  }
  const Size2d output = refused_as_usage(
      [&] { return output_size(window_of(layer, plane_of(input)), plane_of(input), subject); });
  const std::int64_t per_channel = channels / layer.groups * layer.kernel[0] * layer.kernel[1];
  const double weights = static_cast<double>(layer.out) * static_cast<double>(per_channel);
  if (weights > static_cast<double>(kMaxParameters)) {
    throw UsageError(fmt::format("{} must have at most {} weights, but it has {:.3g}.", subject,
                                 kMaxParameters, weights));
  }
  return {{layer.out, output.height, output.width},
          layer.out * per_channel + (layer.bias ? layer.out : 0)};
}

LayerResult pool2d_result(const LayerSpec& layer, const Extent& input, const std::string& subject) {
  require_planes(input, subject);
  const Pool2dSizes sizes = refused_as_usage([&] {
    ParameterSet parameters;
    Graph graph(parameters);
    const ValueId x = graph.add_activation("x", {kBatch, input[0], input[1], input[2]});
    return pool2d_sizes(graph, x, window_of(layer, plane_of(input)), subject);
  });
  return {{input[0], sizes.output.height, sizes.output.width}};
}

LayerResult flatten_result(const Extent& input, const std::string& subject) {
  if (input.size() == 3) return {{elements(input)}};
  throw UsageError(fmt::format(
      "{} needs an input of shape [channels, height, width], but it gets {}, which is flat; leave "
      "the layer out.",
      subject, to_string(input)));
}

LayerResult add_result(std::span<const Extent> inputs, const std::string& subject) {
  for (const Extent& input : inputs) {
    if (input == inputs[0]) continue;
    throw UsageError(fmt::format("{} needs inputs of one shape, but it gets {} and {}.", subject,
                                 to_string(inputs[0]), to_string(input)));
  }
  return {inputs[0]};
}

LayerResult concat_result(std::span<const Extent> inputs, const std::string& subject) {
  Extent output = inputs[0];
  for (const Extent& input : inputs.subspan(1)) {
    if (input.size() != output.size() ||
        !std::equal(input.begin() + 1, input.end(), output.begin() + 1)) {
      throw UsageError(fmt::format(
          "{} needs inputs that differ in their first dimension only, but it gets {} and {}.",
          subject, to_string(inputs[0]), to_string(input)));
    }
    output[0] += input[0];
  }
  return {output};
}

LayerResult unchecked_result(const LayerSpec& layer, std::span<const Extent> inputs,
                             const std::string& subject) {
  const Extent& input = inputs[0];
  switch (layer.type) {
    case LayerType::flatten:
      return flatten_result(input, subject);
    case LayerType::linear:
      require_flat(input, subject);
      return {{layer.out}, input[0] * layer.out + (layer.bias ? layer.out : 0)};
    case LayerType::conv2d:
      return conv2d_result(layer, input, subject);
    case LayerType::max_pool2d:
    case LayerType::avg_pool2d:
      return pool2d_result(layer, input, subject);
    case LayerType::global_avg_pool2d:
      require_planes(input, subject);
      return {{input[0]}};
    case LayerType::dropout2d:
      require_planes(input, subject);
      return {input};
    case LayerType::batch_norm:
      return {input, 2 * input[0]};
    case LayerType::add:
      return add_result(inputs, subject);
    case LayerType::concat:
      return concat_result(inputs, subject);
    case LayerType::softmax:
      require_flat(input, subject);
      return {input};
    case LayerType::relu:
    case LayerType::tanh:
    case LayerType::sigmoid:
    case LayerType::elu:
    case LayerType::leaky_relu:
    case LayerType::gelu:
    case LayerType::silu:
    case LayerType::dropout:
      return {input};
  }
  throw UsageError(subject + " is of no known layer type.");
}

Size2d size_of(const Pair& pair) { return {pair[0], pair[1]}; }

}  // namespace

std::int64_t elements(const Extent& extent) {
  std::int64_t product = 1;
  for (const std::int64_t size : extent) product *= size;
  return product;
}

std::string to_string(const Extent& extent) { return fmt::format("[{}]", fmt::join(extent, ", ")); }

Window2d window_of(const LayerSpec& layer, Size2d input) {
  Window2d window{.kernel = size_of(layer.kernel), .dilation = size_of(layer.dilation)};
  const Pair default_stride = layer.type == LayerType::conv2d ? Pair{1, 1} : layer.kernel;
  window.stride = size_of(layer.stride.value_or(default_stride));
  if (layer.padding_rule == PaddingRule::same) {
    pad_same(window, input);
  } else if (layer.padding_rule == PaddingRule::explicit_sizes) {
    window.padding_begin = window.padding_end = size_of(layer.padding);
  }
  return window;
}

LayerResult result_of(const LayerSpec& layer, std::span<const Extent> inputs,
                      const std::string& subject) {
  LayerResult result = unchecked_result(layer, inputs, subject);
  if (elements(result.output) > kMaxElements) {
    throw UsageError(fmt::format("{} must give at most {} values for an image, but {} has {}.",
                                 subject, kMaxElements, to_string(result.output),
                                 elements(result.output)));
  }
  return result;
}

}  // namespace vktrain::nn
