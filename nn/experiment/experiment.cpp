// Checks of whole experiments: ranges, settings that nothing reads, and layers that fit together.
#include "nn/experiment/experiment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "nn/experiment/experiment_keys.h"
#include "nn/experiment/experiment_toml.h"
#include "nn/experiment/layer_graph.h"
#include "nn/experiment/layer_shapes.h"
#include "nn/experiment/layer_spec.h"
#include "nn/ops/step_state.h"

namespace vktrain::nn {

namespace {

std::int64_t parameters_of(const LayerGraph& graph) {
  std::int64_t count = 0;
  for (const LayerNode& node : graph.nodes) count += node.parameters;
  return count;
}

void check_dropout_slots(const ModelSpec& model) {
  const auto count =
      std::count_if(model.layers.begin(), model.layers.end(), [](const LayerSpec& layer) {
        return layer.type == LayerType::dropout || layer.type == LayerType::dropout2d;
      });
  if (count <= kMaxDropoutLayers) return;
  throw UsageError(
      fmt::format("model.layers must have at most {} dropout and dropout2d layers, but "
                  "it has {}.",
                  kMaxDropoutLayers, count));
}

void check_model(const Experiment& experiment) {
  const ModelSpec& model = experiment.model;
  const Extent input(model.input.begin(), model.input.end());
  if (elements(input) > kMaxElements) {
    throw UsageError(fmt::format("model.input must have at most {} values, but {} has {}.",
                                 kMaxElements, to_string(input), elements(input)));
  }
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    check_layer(model.layers[i], layer_subject(model, i));
  }
  const LayerGraph graph = resolve_layers(model);
  const LayerNode& last = graph.nodes.back();
  const Extent wanted = {experiment.data.classes};
  if (last.output != wanted) {
    throw UsageError(
        fmt::format("{}, the last layer, must give one value per class, {}, but it gives {}{}.",
                    layer_subject(model, last.index), to_string(wanted), to_string(last.output),
                    last.output.size() == 1 ? "" : "; put a flatten layer after it"));
  }
  if (parameters_of(graph) == 0) {
    throw UsageError("model.layers must have something to train, but no layer has parameters.");
  }
  check_dropout_slots(model);
}

void check_reported(const Experiment& experiment) {
  const std::size_t counts = experiment.reported.confusion_matrix.size();
  const std::int64_t classes = experiment.data.classes;
  if (counts == 0 || counts == static_cast<std::size_t>(classes * classes)) return;
  throw UsageError(fmt::format(
      "reported.confusion_matrix must have {0} x {0} counts for {0} classes, but it has {1}.",
      classes, counts));
}

void require_validation(const Experiment& experiment, std::string_view subject) {
  if (experiment.data.split.kind != SplitRule::Kind::none) return;
  throw UsageError(fmt::format("{} needs validation images, but data.split is \"none\".", subject));
}

// What the training itself needs: validation images to look at, images that stay in sight.
void check_course(const Experiment& experiment) {
  const ScheduleSpec& schedule = experiment.schedule;
  if (schedule.kind == ScheduleKind::plateau) {
    require_validation(experiment, "schedule.kind = \"plateau\"");
  }
  if (schedule.kind == ScheduleKind::multi_step) {
    const std::vector<std::int64_t>& epochs = schedule.milestones;
    const bool rising =
        std::adjacent_find(epochs.begin(), epochs.end(), std::greater_equal<>()) == epochs.end();
    if (epochs.empty() || !rising) {
      throw UsageError(fmt::format(
          "schedule.milestones must be at least one epoch, each later than the one before, but it "
          "is [{}].",
          fmt::join(epochs, ", ")));
    }
  }
  if (experiment.early_stopping.patience > 0) {
    require_validation(experiment, "early_stopping.patience");
  } else if (experiment.early_stopping != EarlyStoppingSpec{}) {
    throw UsageError(
        "early_stopping does nothing without early_stopping.patience: set the number of epochs to "
        "wait for an improvement.");
  }
  const auto stays_in_sight = [&](std::string_view key, std::int64_t pixels) {
    const std::int64_t side = std::min(experiment.model.input[1], experiment.model.input[2]);
    if (pixels < side) return;
    throw UsageError(fmt::format("{} must be less than the images' smaller side, {}, but it is {}.",
                                 key, side, pixels));
  };
  stays_in_sight("augmentation.shift", experiment.augmentation.shift);
  stays_in_sight("augmentation.crop_padding", experiment.augmentation.crop_padding);
}

// PyTorch and Keras clip the gradient of the whole loss. Here the optimizer adds the penalties'
// gradients, after the clipping.
void check_clipping(const Experiment& experiment) {
  const TrainingSpec& training = experiment.training;
  const OptimizerConfig& optimizer = experiment.optimizer;
  const bool clips = training.clip_norm > 0 || training.clip_value > 0;
  if (!clips || (optimizer.l1 == 0 && optimizer.l2 == 0)) return;
  throw UsageError(fmt::format(
      "{} does not clip the gradients of penalty.l1 and penalty.l2, so they cannot be used "
      "together; set one side to 0, or use optimizer.weight_decay instead of the penalty.",
      training.clip_norm > 0 ? "training.clip_norm" : "training.clip_value"));
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
  return parameters_of(resolve_layers(experiment.model));
}

void check(const Experiment& experiment) {
  const OptimizerConfig& optimizer = experiment.optimizer;
  check_settings(experiment_settings(), experiment,
                 default_experiment(optimizer.kind, optimizer.definition), "",
                 [&](const auto& s) { return reader_of(s.name, experiment); });
  try {
    check_optimizer(optimizer);
  } catch (const UsageError& error) {
    const std::string_view message = error.what();
    throw UsageError(fmt::format("[optimizer]: {}{}", message, message.ends_with('.') ? "" : "."));
  }
  check_model(experiment);
  check_course(experiment);
  check_clipping(experiment);
  check_reported(experiment);
}

}  // namespace vktrain::nn
