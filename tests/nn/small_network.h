// Small networks for tests of whole graphs: rewrites, derivatives, plans.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nn/executable.h"
#include "nn/fusion.h"
#include "nn/graph.h"
#include "nn/ops/activation.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/ops/step_state.h"
#include "nn/reference/reference_memory.h"
#include "nn/rng.h"

namespace vktrain::testing {

struct NetworkLayer {
  enum class Kind {
    linear,
    activation,
    batch_norm,
    dropout,
    skip,  // x + tanh(x)
  };
  Kind kind = Kind::linear;
  std::int64_t out = 0;  // linear
  bool bias = true;      // linear
  nn::ActivationSpec activation = {};

  static NetworkLayer linear(std::int64_t out, bool bias = true) {
    return {.kind = Kind::linear, .out = out, .bias = bias};
  }
  static NetworkLayer act(nn::Activation kind, float alpha = 1) {
    return {.kind = Kind::activation, .activation = {kind, alpha}};
  }
  static NetworkLayer batch_norm() { return {.kind = Kind::batch_norm}; }
  static NetworkLayer dropout() { return {.kind = Kind::dropout}; }
  static NetworkLayer skip() { return {.kind = Kind::skip}; }
};
std::string to_string(const std::vector<NetworkLayer>& layers);

// 2 to 4 linear layers, the first one first and one with `classes` units last, and a mix of the
// others between them.
std::vector<NetworkLayer> random_layers(nn::PhiloxRng& rng, std::int64_t classes);

// Words of externals, parameters and states.
using NetworkInputs = std::map<nn::ValueId, std::vector<std::uint32_t>>;

// A differentiated graph; x [batch, columns] -> layers -> softmax cross-entropy.
class Network {
 public:
  Network(std::int64_t columns, const std::vector<NetworkLayer>& layers);

  // Random values for everything that a run reads; dropout with probability 1/4.
  NetworkInputs inputs(std::int64_t batch, std::uint64_t seed) const;
  // Pairs of a parameter and its gradient slot.
  std::vector<std::pair<nn::ValueId, nn::ValueId>> gradients() const;

  nn::ParameterSet parameters;
  nn::Graph graph{parameters};
  nn::StepInputs step;
  nn::ValueId x = nn::kNoValue, labels = nn::kNoValue;
  nn::CrossEntropy loss;
  std::vector<nn::ValueId> outputs;  // of the layers, as they were before any rewrite
};

// The loss and the gradients of all parameters.
using NetworkResults = std::vector<std::vector<float>>;

// One run for each of `inputs` as replicas; results by replica.
std::vector<NetworkResults> run_on_device(runtime::Device& device, Network& network,
                                          const std::vector<NetworkInputs>& inputs,
                                          nn::PlanOptions options);

nn::ReferenceMemory reference_memory(const nn::Graph& graph, const NetworkInputs& inputs,
                                     std::int64_t batch);

}  // namespace vktrain::testing
