#include "nn/training/step_graph.h"

#include <algorithm>

#include "nn/differentiate.h"
#include "nn/ops/clip_gradients.h"
#include "nn/ops/confusion_matrix.h"
#include "nn/ops/end_step.h"
#include "nn/optimizers/gemm_update.h"

namespace vktrain::nn {
namespace {

// The merged loss computes in f32 alone; and where a kernel for matrix units is taken, which
// gathers nothing, each product would store the batch anew.
void leave_out_f32(FusionOptions& options, const Experiment& experiment) {
  if (experiment.training.precision == Precision::f32) return;
  options.linear_cross_entropy = false;
  options.gather_batch = false;
}

}  // namespace

StepGraph build_step_graph(ParameterSet& parameters, const Experiment& experiment,
                           const OptimizerConfig& optimizer, std::int64_t dataset_count,
                           std::int64_t images, const FusionOptions& fusion,
                           const runtime::DeviceProfile* device) {
  StepGraph g{.graph = Graph(parameters), .step = {}, .dataset = {}, .model = {}};
  const std::int64_t batch_size = experiment.training.batch_size;
  const auto& in = experiment.model.input;
  g.step = add_step_inputs(g.graph, divide_up(images, batch_size));
  g.dataset = add_dataset_inputs(g.graph, {in[0], in[1], in[2]}, dataset_count, images);
  const Batch batch = gather_batch(g.graph, g.dataset, g.step,
                                   {experiment.data.mean, experiment.data.std}, batch_size,
                                   {.horizontal_flip = experiment.augmentation.horizontal_flip,
                                    .shift = experiment.augmentation.shift,
                                    .crop_padding = experiment.augmentation.crop_padding});
  g.model = build_model(g.graph, experiment, batch.x, g.step, ModelMode::train);
  const CrossEntropy loss = softmax_cross_entropy(g.graph, g.model.logits, batch.labels,
                                                  experiment.training.label_smoothing);
  differentiate(g.graph, loss.loss);
  clip_gradients(g.graph,
                 {.value = experiment.training.clip_value, .norm = experiment.training.clip_norm});
  const ValueId penalty = add_optimizer(g.graph, optimizer, g.step);
  end_step(g.graph, loss, g.step, penalty);
  FusionOptions fitting = fusion;
  leave_out_f32(fitting, experiment);
  // Where products are split after all, each layer's weights and bias would be dispatches of their
  // own.
  if (std::min(batch_size, images) > GemmUpdate::kMostWholeBatch) fitting.whole_update = false;
  fuse(g.graph, fitting, device);
  set_precision(g.graph, experiment.training.precision);
  return g;
}

EvaluationGraph build_evaluation_graph(ParameterSet& parameters, const Experiment& experiment,
                                       std::int64_t dataset_count, std::int64_t images,
                                       std::int64_t batch_size,
                                       const runtime::DeviceProfile* device) {
  EvaluationGraph g{.graph = Graph(parameters), .step = {}, .dataset = {}};
  g.step = add_step_inputs(g.graph, divide_up(images, batch_size));
  const auto& in = experiment.model.input;
  g.dataset = add_dataset_inputs(g.graph, {in[0], in[1], in[2]}, dataset_count, images);
  const Batch batch = gather_batch(g.graph, g.dataset, g.step,
                                   {experiment.data.mean, experiment.data.std}, batch_size);
  g.logits = build_model(g.graph, experiment, batch.x, g.step, ModelMode::evaluate).logits;
  g.graph.keep(g.logits);
  end_step(g.graph, softmax_cross_entropy(g.graph, g.logits, batch.labels), g.step);
  g.confusion = confusion_matrix(g.graph, g.logits, batch.labels);
  FusionOptions fitting;
  leave_out_f32(fitting, experiment);
  fuse(g.graph, fitting, device);
  set_precision(g.graph, experiment.training.precision);
  return g;
}

}  // namespace vktrain::nn
