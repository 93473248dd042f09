#include "nn/training/inference.h"

#include <algorithm>

#include "nn/layers/model.h"
#include "nn/ops/gather_batch.h"
#include "nn/reference/softmax_cross_entropy.h"
#include "nn/training/checkpoint.h"
#include "nn/training/penalty.h"
#include "nn/training/replica_check.h"

namespace vktrain::nn {
namespace {

// The model's parameters: those that its evaluation graph declares.
void declare_parameters(const Experiment& experiment, ParameterSet& parameters) {
  Graph graph(parameters);
  const auto& in = experiment.model.input;
  const StepInputs step = add_step_inputs(graph, 1);
  const DatasetInputs dataset = add_dataset_inputs(graph, {in[0], in[1], in[2]}, 1, 1);
  const Batch batch =
      gather_batch(graph, dataset, step, {experiment.data.mean, experiment.data.std}, 1);
  build_model(graph, experiment, batch.x, step, ModelMode::evaluate);
}

// A data set has training and test images; here all are test images, with the indices as they are.
ImageSet no_images(const ImageSet& images) {
  ImageSet none;
  none.channels = images.channels;
  none.height = images.height;
  none.width = images.width;
  none.classes = images.classes;
  return none;
}

}  // namespace

Inference::Inference(runtime::Device& device, const Experiment& experiment,
                     const SafeTensors& tensors, const ImageSet& images,
                     std::vector<std::uint32_t> indices, std::int64_t batch_size, Tuner* tuner)
    : experiment_(check_replicas({experiment}, images).front()) {
  declare_parameters(experiment_, parameters_);
  constexpr std::uint32_t kReplicas = 1;
  constexpr std::uint32_t kNoOptimizerSlots = 0;
  storage_ = std::make_unique<ParameterStorage>(device, parameters_, kReplicas, kNoOptimizerSlots);
  import_parameters(*storage_, 0, tensors);
  dataset_ = std::make_unique<DeviceDataset>(device, no_images(images), images);
  std::vector<std::vector<std::uint32_t>> of_replicas;
  of_replicas.push_back(std::move(indices));
  evaluator_ = std::make_unique<Evaluator>(device, experiment_, parameters_, *storage_, *dataset_,
                                           std::move(of_replicas), batch_size, tuner);
}

Inference::~Inference() = default;

EvaluationMetrics Inference::evaluate() {
  EvaluationMetrics metrics = evaluator_->run(experiment_.metrics.accuracy).front();
  if (experiment_.metrics.loss_includes_penalty) {
    metrics.loss += penalty_of(*storage_, 0, experiment_.optimizer);
  }
  return metrics;
}

std::vector<float> Inference::logits() { return evaluator_->logits(0); }

std::vector<double> softmax(std::span<const float> logits) {
  std::vector<double> result(logits.begin(), logits.end());
  reference::softmax(result, result);
  return result;
}

std::size_t predicted_class(std::span<const float> logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace vktrain::nn
