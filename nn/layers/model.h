// Turns an experiment's list of layers into operations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/experiment/experiment.h"
#include "nn/graph.h"
#include "nn/ops/step_state.h"

namespace vktrain::nn {

struct LayerSummary {
  std::string name;  // the layer's, or its position, as in PyTorch's nn.Sequential
  std::string type;
  Shape output;
  std::int64_t parameters = 0;
  std::int64_t multiply_adds = 0;  // per image, forward
};

struct Model {
  ValueId logits = kNoValue;         // [batch, classes]
  std::vector<LayerSummary> layers;  // in the order in which they run
};

enum class ModelMode { train, evaluate };

// x [batch, channels, height, width]. The graphs of both modes declare the same parameters, named
// by the layer's name or position: "1.weight". Evaluation leaves dropout out and takes running
// statistics.
Model build_model(Graph& graph, const Experiment& experiment, ValueId x, const StepInputs& step,
                  ModelMode mode);

// Dropout probabilities in the order of the slots that build_model gives out.
std::vector<double> dropout_probabilities(const Experiment& experiment);

}  // namespace vktrain::nn
