// The graph of one training step: batch, model, loss, gradients, update, metrics; and of one step
// of an evaluation.
#pragma once

#include <cstdint>

#include "nn/experiment/experiment.h"
#include "nn/fusion.h"
#include "nn/layers/model.h"
#include "nn/ops/gather_batch.h"

namespace vktrain::nn {

struct StepGraph {
  Graph graph;
  StepInputs step;
  DatasetInputs dataset;
  Model model;
};

// `images`: indices of an epoch; `dataset_count`: images on the device. The parameters are declared
// in `parameters`, which must outlive the graph. `device`: see fuse.
StepGraph build_step_graph(ParameterSet& parameters, const Experiment& experiment,
                           const OptimizerConfig& optimizer, std::int64_t dataset_count,
                           std::int64_t images, const FusionOptions& fusion,
                           const runtime::DeviceProfile* device = nullptr);

struct EvaluationGraph {
  Graph graph;
  StepInputs step;
  DatasetInputs dataset;
  ValueId logits = kNoValue;
  ValueId confusion = kNoValue;
};

// The same for the evaluation of `images` images; the parameters are those of the step's graph.
EvaluationGraph build_evaluation_graph(ParameterSet& parameters, const Experiment& experiment,
                                       std::int64_t dataset_count, std::int64_t images,
                                       std::int64_t batch_size,
                                       const runtime::DeviceProfile* device = nullptr);

}  // namespace vktrain::nn
