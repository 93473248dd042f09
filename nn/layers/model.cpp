#include "nn/layers/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "nn/experiment/layer_graph.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"
#include "nn/ops/activation.h"
#include "nn/ops/add.h"
#include "nn/ops/avg_pool2d.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/channels_last.h"
#include "nn/ops/concat.h"
#include "nn/ops/dropout.h"
#include "nn/ops/dropout2d.h"
#include "nn/ops/max_pool2d.h"
#include "nn/ops/reshape.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// The model while it grows.
struct Builder {
  Graph& graph;
  const Experiment& experiment;
  const StepInputs& step;
  ModelMode mode;
};

// What a layer is made from.
struct Place {
  const LayerSpec& layer;
  const std::string& name;
  std::span<const ValueId> inputs;
  std::uint32_t dropout_slot;

  ValueId input() const { return inputs[0]; }
};

ValueId add_linear(const Builder& builder, const Place& place) {
  const InitSpec& init = builder.experiment.init;
  const LayerSpec& layer = place.layer;
  return linear(builder.graph, place.input(),
                {.out = layer.out,
                 .bias = layer.bias,
                 .weight_initializer = layer.weight_init.value_or(init.weight),
                 .bias_initializer = layer.bias_init.value_or(init.bias)},
                place.name);
}

Window2d window_at(const Builder& builder, const Place& place) {
  const Shape& shape = builder.graph.value(place.input()).shape;
  return window_of(place.layer, {shape[2], shape[3]});
}

ValueId add_conv2d(const Builder& builder, const Place& place) {
  const InitSpec& init = builder.experiment.init;
  const LayerSpec& layer = place.layer;
  return conv2d_layer(builder.graph, place.input(),
                      {.out = layer.out,
                       .convolution = {.window = window_at(builder, place), .groups = layer.groups},
                       .bias = layer.bias,
                       .weight_initializer = layer.weight_init.value_or(init.weight),
                       .bias_initializer = layer.bias_init.value_or(init.bias)},
                      place.name);
}

ValueId add_pool2d(const Builder& builder, const Place& place) {
  const Window2d window = window_at(builder, place);
  if (place.layer.type == LayerType::max_pool2d) {
    return max_pool2d(builder.graph, place.input(), window, place.name);
  }
  return avg_pool2d(builder.graph, place.input(), window, place.layer.count_include_pad,
                    place.name);
}

ValueId add_flatten(const Builder& builder, const Place& place) {
  return place.layer.order == FlattenOrder::channels_last
             ? flatten_channels_last(builder.graph, place.input(), place.name)
             : flatten(builder.graph, place.input(), place.name);
}

ValueId add_batch_norm(const Builder& builder, const Place& place) {
  const BatchNormOptions options = {.epsilon = place.layer.eps, .momentum = place.layer.momentum};
  return builder.mode == ModelMode::train
             ? batch_norm_train(builder.graph, place.input(), options, place.name)
             : batch_norm_eval(builder.graph, place.input(), options, place.name);
}

ValueId add_dropout(const Builder& builder, const Place& place) {
  if (builder.mode == ModelMode::evaluate) return place.input();
  return place.layer.type == LayerType::dropout2d
             ? dropout2d(builder.graph, place.input(), place.dropout_slot, builder.step, place.name)
             : dropout(builder.graph, place.input(), place.dropout_slot, builder.step, place.name);
}

ValueId add_sum(const Builder& builder, const Place& place) {
  ValueId sum = place.input();
  for (const ValueId input : place.inputs.subspan(1)) {
    sum = add(builder.graph, sum, input, place.name);
  }
  return sum;
}

ValueId add_activation(const Builder& builder, const Place& place, Activation kind) {
  const bool has_alpha = kind == Activation::elu || kind == Activation::leaky_relu;
  const double alpha = has_alpha ? place.layer.alpha : 1;
  return activation(builder.graph, place.input(), {kind, static_cast<float>(alpha)}, place.name);
}

ValueId add_layer(const Builder& builder, const Place& place) {
  switch (place.layer.type) {
    case LayerType::flatten:
      return add_flatten(builder, place);
    case LayerType::linear:
      return add_linear(builder, place);
    case LayerType::conv2d:
      return add_conv2d(builder, place);
    case LayerType::max_pool2d:
    case LayerType::avg_pool2d:
      return add_pool2d(builder, place);
    case LayerType::global_avg_pool2d:
      return global_avg_pool2d(builder.graph, place.input(), place.name);
    case LayerType::relu:
      return add_activation(builder, place, Activation::relu);
    case LayerType::tanh:
      return add_activation(builder, place, Activation::tanh);
    case LayerType::sigmoid:
      return add_activation(builder, place, Activation::sigmoid);
    case LayerType::elu:
      return add_activation(builder, place, Activation::elu);
    case LayerType::leaky_relu:
      return add_activation(builder, place, Activation::leaky_relu);
    case LayerType::gelu:
      return add_activation(builder, place, Activation::gelu);
    case LayerType::silu:
      return add_activation(builder, place, Activation::silu);
    case LayerType::dropout:
    case LayerType::dropout2d:
      return add_dropout(builder, place);
    case LayerType::batch_norm:
      return add_batch_norm(builder, place);
    case LayerType::add:
      return add_sum(builder, place);
    case LayerType::concat:
      return concat(builder.graph, place.inputs, place.name);
    case LayerType::softmax:  // inside the loss
      return place.input();
  }
  throw Error(fmt::format("layer {} is of no known type.", place.name));
}

bool has_dropout_slot(const LayerSpec& layer) {
  return layer.type == LayerType::dropout || layer.type == LayerType::dropout2d;
}

// By the place in the list of layers, whatever the order in which they run.
std::uint32_t dropout_slot(const ModelSpec& model, std::size_t index) {
  return static_cast<std::uint32_t>(
      std::count_if(model.layers.begin(), model.layers.begin() + static_cast<std::ptrdiff_t>(index),
                    has_dropout_slot));
}

// Parameters and multiply-adds of layer `name` as it stands in the parameter set.
void count(const ParameterSet& parameters, LayerSummary& summary) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    if (!parameter.trainable || !parameter.name.starts_with(summary.name + ".")) continue;
    summary.parameters += parameter.shape.elements();
    if (parameter.shape.rank() == 1) continue;
    const bool convolution = parameter.shape.rank() == 4;
    const std::int64_t uses = convolution ? summary.output[2] * summary.output[3] : 1;
    summary.multiply_adds += uses * parameter.shape.elements();
  }
}

}  // namespace

Model build_model(Graph& graph, const Experiment& experiment, ValueId x, const StepInputs& step,
                  ModelMode mode) {
  const Builder builder{graph, experiment, step, mode};
  const ModelSpec& spec = experiment.model;
  std::vector<ValueId> values(spec.layers.size(), kNoValue);
  Model model;
  for (const LayerNode& node : resolve_layers(spec).nodes) {
    const LayerSpec& layer = spec.layers[node.index];
    std::vector<ValueId> inputs;
    for (const std::size_t i : node.inputs) inputs.push_back(i == kModelInput ? x : values[i]);
    const ValueId y =
        add_layer(builder, {layer, node.name, inputs, dropout_slot(spec, node.index)});
    values[node.index] = y;
    LayerSummary summary{.name = node.name,
                         .type = std::string(name_of(layer.type)),
                         .output = graph.value(y).shape};
    count(graph.parameters(), summary);
    model.layers.push_back(std::move(summary));
    model.logits = y;
  }
  return model;
}

std::vector<double> dropout_probabilities(const Experiment& experiment) {
  std::vector<double> probabilities;
  for (const LayerSpec& layer : experiment.model.layers) {
    if (has_dropout_slot(layer)) probabilities.push_back(layer.p);
  }
  return probabilities;
}

}  // namespace vktrain::nn
