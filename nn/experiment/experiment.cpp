// Checks of whole experiments: ranges, settings that nothing reads, and layers that fit together.
#include "nn/experiment/experiment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "nn/experiment/experiment_keys.h"
#include "nn/experiment/experiment_toml.h"
#include "nn/experiment/layer_spec.h"

namespace vktrain::nn {

namespace {

// What one example is between two layers: [channels, height, width] or [features].
using Extent = std::vector<std::int64_t>;

std::int64_t elements(const Extent& extent) {
  std::int64_t product = 1;
  for (const std::int64_t size : extent) product *= size;
  return product;
}

std::string shown(const Extent& extent) { return fmt::format("[{}]", fmt::join(extent, ", ")); }

std::string layer_subject(std::size_t index) { return fmt::format("model.layers[{}]", index); }

// The most values an example may have: keeps products of sizes far from overflow.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 26;

struct Walk {
  Extent extent;                // after the layers so far
  std::int64_t parameters = 0;  // trainable, of the layers so far
};

void require_flat(const Walk& walk, const LayerSpec& layer, std::size_t index) {
  if (walk.extent.size() == 1) return;
  throw UsageError(fmt::format(
      "{} ({}) needs an input of shape [features], but it gets {}; put a flatten layer before it.",
      layer_subject(index), name_of(layer.type), shown(walk.extent)));
}

void step(Walk& walk, const LayerSpec& layer, std::size_t index, std::size_t count) {
  switch (layer.type) {
    case LayerType::flatten:
      walk.extent = {elements(walk.extent)};
      break;
    case LayerType::linear:
      require_flat(walk, layer, index);
      walk.parameters += walk.extent[0] * layer.out + (layer.bias ? layer.out : 0);
      walk.extent = {layer.out};
      break;
    case LayerType::batch_norm:
      require_flat(walk, layer, index);
      walk.parameters += 2 * walk.extent[0];
      break;
    case LayerType::softmax:
      if (index + 1 != count) {
        throw UsageError(fmt::format(
            "{} (softmax) must be the last layer, because the loss computes it, but {} follows.",
            layer_subject(index), count - index - 1 == 1 ? "a layer" : "more than one layer"));
      }
      require_flat(walk, layer, index);
      break;
    case LayerType::relu:
    case LayerType::tanh:
    case LayerType::sigmoid:
    case LayerType::elu:
    case LayerType::dropout:
    default:
      break;
  }
}

Walk walk_layers(const ModelSpec& model) {
  Walk walk{{model.input.begin(), model.input.end()}, 0};
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    step(walk, model.layers[i], i, model.layers.size());
  }
  return walk;
}

void check_model(const Experiment& experiment) {
  const ModelSpec& model = experiment.model;
  if (model.layers.empty()) {
    throw UsageError(
        "model.layers must name at least one layer, as [\"flatten\", \"linear 10\"], but it is "
        "empty.");
  }
  const Extent input(model.input.begin(), model.input.end());
  if (elements(input) > kMaxElements) {
    throw UsageError(fmt::format("model.input must have at most {} values, but {} has {}.",
                                 kMaxElements, shown(input), elements(input)));
  }
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    check_layer(model.layers[i], layer_subject(i));
  }
  const Walk walk = walk_layers(model);
  const Extent wanted = {experiment.data.classes};
  if (walk.extent != wanted) {
    const std::size_t last = model.layers.size() - 1;
    throw UsageError(fmt::format(
        "{} ({}), the last layer, must give one value per class, {}, but it gives {}.",
        layer_subject(last), name_of(model.layers[last].type), shown(wanted), shown(walk.extent)));
  }
  if (walk.parameters == 0) {
    throw UsageError("model.layers must have something to train, but no layer has parameters.");
  }
}

}  // namespace

std::vector<ReplicaSpec> replicas_of(const Experiment& experiment) {
  std::vector<std::uint64_t> seeds = experiment.training.seeds;
  std::vector<double> rates = experiment.learning_rates;
  if (seeds.empty()) seeds = {experiment.training.seed};
  if (rates.empty()) rates = {experiment.optimizer.learning_rate};
  std::vector<ReplicaSpec> replicas;
  for (const std::uint64_t seed : seeds) {
    for (const double rate : rates) replicas.push_back({seed, rate});
  }
  return replicas;
}

std::int64_t parameter_count(const Experiment& experiment) {
  return walk_layers(experiment.model).parameters;
}

void check(const Experiment& experiment) {
  const OptimizerConfig& optimizer = experiment.optimizer;
  check_settings(experiment_settings(), experiment,
                 default_experiment(optimizer.kind, optimizer.definition), "",
                 fmt::format("the optimizer {}", name_of(optimizer.kind)));
  try {
    check_optimizer(optimizer);
  } catch (const UsageError& error) {
    const std::string_view message = error.what();
    throw UsageError(fmt::format("[optimizer]: {}{}", message, message.ends_with('.') ? "" : "."));
  }
  check_model(experiment);
}

}  // namespace vktrain::nn
