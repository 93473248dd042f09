// Graphs of small models whose weight gradients may update their weights themselves
// (nn/fusion_optimizer.h), and what has become of them.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/training/step_graph.h"
#include "tests/nn/training/training_rig.h"

namespace vktrain::testing {

using Names = std::vector<std::string>;

// A CPU driver whose subgroups are 8 lanes with shuffles.
runtime::DeviceProfile shuffling_device();

// Of all operations.
Names kinds(const nn::Graph& graph);
std::size_t count(const nn::Graph& graph, std::string_view kind);
// The weights that their gradients' products update, in the order of the operations.
Names merged(const nn::Graph& graph);
// The biases that these update, too.
Names merged_biases(const nn::Graph& graph);
// What the optimizer that is left updates.
Names left(const nn::Graph& graph);

// Layers 1, 3 and 5 have 25,088, 16,384 and 5,120 weights, and all have a bias: nothing else is
// trained.
struct FusionCase {
  nn::Experiment experiment = small_experiment(28);
  nn::FusionOptions options;
  std::optional<runtime::DeviceProfile> device = shuffling_device();
  std::function<void(nn::Graph&)> before = nullptr;  // the rewrite

  FusionCase();
};
// With parameters that are no linear layer's: layer 4 is a batch normalisation.
FusionCase normalised_case();

// The first value of that name, or kNoValue.
nn::ValueId value_of(const nn::Graph& graph, const std::string& name);

class OptimizerFusion : public ::testing::Test {
 protected:
  const nn::Graph& graph_of(const FusionCase& c);

  nn::ValueId value(const std::string& name, nn::ValueKind kind) const;
  nn::ValueId parameter(const std::string& name) const {
    return value(name, nn::ValueKind::parameter);
  }
  nn::ValueId gradient(const std::string& name) const {
    return value(name, nn::ValueKind::gradient);
  }
  // Number of the operation that updates the weights.
  std::size_t update_of(nn::ValueId weight) const;
  // Whether the operation of that number or a later one reads the value.
  bool reads_from(std::size_t first, nn::ValueId id) const;

 private:
  nn::ParameterSet parameters_;
  std::unique_ptr<nn::StepGraph> step_;
};

}  // namespace vktrain::testing
