#include "nn/training/replica_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// The experiment without what replicas may differ in.
Experiment common_part(Experiment experiment) {
  Experiment common;
  common.data = experiment.data;
  common.model = experiment.model;
  common.training = experiment.training;
  common.augmentation = experiment.augmentation;
  common.metrics = experiment.metrics;
  common.training.seed = 0;
  common.training.seeds.clear();
  for (LayerSpec& layer : common.model.layers) {
    layer.weight_init.reset();
    layer.bias_init.reset();
    if (layer.type == LayerType::dropout || layer.type == LayerType::dropout2d) layer.p = 0;
  }
  return common;
}

}  // namespace

std::vector<Experiment> check_replicas(std::vector<Experiment> replicas, const ImageSet& images) {
  if (replicas.empty()) throw UsageError("nothing to train: no experiment was given");
  const Experiment& first = replicas.front();
  for (const Experiment& replica : replicas) {
    check(replica);
    if (!replica.training.seeds.empty() || !replica.learning_rates.empty()) {
      throw UsageError("a replica cannot have seeds or learning rates of its own; expand it first");
    }
    if (common_part(replica) != common_part(first)) {
      throw UsageError(
          fmt::format("experiments {} and {} cannot train as replicas of one plan: they differ in "
                      "more than seed, initialisers, dropout probabilities and optimizer numbers",
                      first.id, replica.id));
    }
  }
  check_images(first, images);
  return replicas;
}

void check_images(const Experiment& experiment, const ImageSet& images) {
  if (images.count == 0) throw Error("the data set has no images; it needs at least one");
  const auto& input = experiment.model.input;
  if (input[0] != images.channels || input[1] != images.height || input[2] != images.width) {
    throw Error(
        fmt::format("the model takes images of {}x{}x{}, the data set has {}x{}x{}; set "
                    "model.input to the data set's size",
                    input[0], input[1], input[2], images.channels, images.height, images.width));
  }
  const auto largest = std::max_element(images.labels.begin(), images.labels.end());
  if (largest != images.labels.end() && *largest >= experiment.data.classes) {
    throw Error(
        fmt::format("image {} of the data set has label {}, but the model has {} classes; "
                    "set data.classes to the data set's number",
                    largest - images.labels.begin(), *largest, experiment.data.classes));
  }
}

}  // namespace vktrain::nn
