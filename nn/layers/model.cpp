#include "nn/layers/model.h"

#include <fmt/format.h>

#include "nn/layers/linear.h"
#include "nn/ops/activation.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/dropout.h"

namespace vktrain::nn {
namespace {

// The chain while it grows.
struct Chain {
  Graph& graph;
  const Experiment& experiment;
  const StepInputs& step;
  ModelMode mode;
  ValueId value;  // output of the last layer
  std::uint32_t dropout_slots = 0;
};

ValueId add_linear(Chain& chain, const LayerSpec& layer, const std::string& name) {
  const InitSpec& init = chain.experiment.init;
  return linear(chain.graph, chain.value,
                {.out = layer.out,
                 .bias = layer.bias,
                 .weight_initializer = layer.weight_init.value_or(init.weight),
                 .bias_initializer = layer.bias_init.value_or(init.bias)},
                name);
}

ValueId add_batch_norm(Chain& chain, const LayerSpec& layer, const std::string& name) {
  const BatchNormOptions options = {.epsilon = layer.eps, .momentum = layer.momentum};
  return chain.mode == ModelMode::train ? batch_norm_train(chain.graph, chain.value, options, name)
                                        : batch_norm_eval(chain.graph, chain.value, options, name);
}

ValueId add_dropout(Chain& chain, const std::string& name) {
  const std::uint32_t slot = chain.dropout_slots++;
  if (chain.mode == ModelMode::evaluate) return chain.value;
  return dropout(chain.graph, chain.value, slot, chain.step, name);
}

ValueId add_activation(Chain& chain, Activation kind, double alpha, const std::string& name) {
  return activation(chain.graph, chain.value, {kind, static_cast<float>(alpha)}, name);
}

ValueId add_layer(Chain& chain, const LayerSpec& layer, const std::string& name) {
  switch (layer.type) {
    case LayerType::flatten:  // a matter of the layout alone: rows stay rows
    case LayerType::softmax:  // inside the loss
      return chain.value;
    case LayerType::linear:
      return add_linear(chain, layer, name);
    case LayerType::relu:
      return add_activation(chain, Activation::relu, 1, name);
    case LayerType::tanh:
      return add_activation(chain, Activation::tanh, 1, name);
    case LayerType::sigmoid:
      return add_activation(chain, Activation::sigmoid, 1, name);
    case LayerType::elu:
      return add_activation(chain, Activation::elu, layer.alpha, name);
    case LayerType::dropout:
      return add_dropout(chain, name);
    case LayerType::batch_norm:
      return add_batch_norm(chain, layer, name);
    default:
      break;
  }
  return chain.value;
}

// Parameters and multiply-adds of layer `name` as it stands in the parameter set.
void count(const ParameterSet& parameters, LayerSummary& summary) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    if (!parameter.trainable || !parameter.name.starts_with(summary.name + ".")) continue;
    summary.parameters += parameter.shape.elements();
    if (parameter.shape.rank() > 1) summary.multiply_adds += parameter.shape.elements();
  }
}

}  // namespace

Model build_model(Graph& graph, const Experiment& experiment, ValueId x, const StepInputs& step,
                  ModelMode mode) {
  Chain chain{graph, experiment, step, mode, x};
  Model model;
  for (std::size_t i = 0; i < experiment.model.layers.size(); ++i) {
    const LayerSpec& layer = experiment.model.layers[i];
    LayerSummary summary;
    summary.name = fmt::format("{}", i);
    summary.type = name_of(layer.type);
    chain.value = add_layer(chain, layer, summary.name);
    summary.output = graph.value(chain.value).shape;
    if (layer.type == LayerType::flatten) {
      summary.output = {summary.output[0], summary.output.elements_per_row()};
    }
    count(graph.parameters(), summary);
    model.layers.push_back(std::move(summary));
  }
  model.logits = chain.value;
  return model;
}

std::vector<double> dropout_probabilities(const Experiment& experiment) {
  std::vector<double> probabilities;
  for (const LayerSpec& layer : experiment.model.layers) {
    if (layer.type == LayerType::dropout) probabilities.push_back(layer.p);
  }
  return probabilities;
}

}  // namespace vktrain::nn
