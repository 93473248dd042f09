// A few steps of training with and without the updates that weight gradients' products do.
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "nn/check/operation_case.h"
#include "nn/fusion.h"
#include "nn/ops/gemm_variants.h"
#include "nn/optimizers/optimizer.h"
#include "tests/nn/small_network.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

using Results = std::vector<std::vector<float>>;

struct Case {
  std::vector<NetworkLayer> layers;
  std::ptrdiff_t merged = 0;  // kernels that update weights
  bool optimizer = false;     // whether it has something left
  std::uint32_t replicas = 2;
};

std::vector<OptimizerConfig> optimizers() {
  using enum OptimizerKind;
  constexpr OptimizerDefinition kPyTorch = OptimizerDefinition::pytorch;
  OptimizerConfig momentum = default_optimizer(sgd, kPyTorch);
  momentum.momentum = 0.9;
  return {momentum, default_optimizer(adam, kPyTorch), default_optimizer(rmsprop, kPyTorch),
          default_optimizer(adagrad, kPyTorch)};
}

// Layers of 16,640, 16,640 and 910 weights.
std::vector<NetworkLayer> three_layers() {
  return {NetworkLayer::linear(128), NetworkLayer::act(Activation::tanh), NetworkLayer::linear(130),
          NetworkLayer::act(Activation::tanh), NetworkLayer::linear(7)};
}

class OptimizerFusionTrainingTest : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (!gemm_can_shuffle(device().profile())) {
      GTEST_SKIP() << "needs subgroups of 8 with shuffles";
    }
  }

  // All parameters and their state, of all replicas, after some steps.
  Results train(const Case& c, const OptimizerConfig& config, bool merge) {
    Network network(130, c.layers);
    add_optimizer(network.graph, config, network.step);
    FusionOptions options;
    options.weight_update = merge;
    fuse(network.graph, options, &device().profile());
    ParameterStorage storage(device(), network.parameters, c.replicas, optimizer_slots(config));
    Executable executable(device(), network.graph, storage, {.batch = 25, .replicas = c.replicas});
    const Kernels kernels = kernels_of(executable.plan());
    EXPECT_EQ(kernels.merged, merge ? c.merged : 0);
    EXPECT_EQ(kernels.optimizer, !merge || c.optimizer);
    for (std::uint32_t step = 0; step < 4; ++step) {
      for (std::uint32_t r = 0; r < c.replicas; ++r) load(network, config, executable, step, r);
      executable.run();
    }
    return results(storage);
  }

  // The same sums in the same order and the same formula: the same bits.
  void expect_no_change(const Case& c) {
    for (const OptimizerConfig& config : optimizers()) {
      const Results weights = train(c, config, true);
      EXPECT_TRUE(weights == train(c, config, false));
      OptimizerConfig other = config;
      other.learning_rate *= 2;
      EXPECT_FALSE(weights == train(c, other, true)) << "nothing is trained";
    }
  }

 private:
  // The parameters at the first step, other images at each.
  static void load(const Network& network, const OptimizerConfig& config, Executable& executable,
                   std::uint32_t step, std::uint32_t replica) {
    NetworkInputs inputs = network.inputs(25, 10 * step + replica);
    Hyperparameters numbers;
    fill_hyperparameters(config, numbers);
    inputs[network.step.hyperparameters] = words_of_block(numbers);
    inputs[network.step.table] =
        words_of_block(step_table_entry(config, step + 1, config.learning_rate));
    inputs[network.step.state] = {step, 0, 0, 0};
    for (const auto& [id, words] : inputs) {
      const bool parameter = network.graph.value(id).kind == ValueKind::parameter;
      if (!parameter || step == 0) executable.write_words(id, words, replica);
    }
  }

  static Results results(const ParameterStorage& storage) {
    Results results;
    for (std::size_t i = 0; i < storage.set().size(); ++i) {
      for (std::uint32_t replica = 0; replica < storage.replicas(); ++replica) {
        results.push_back(storage.read(i, replica));
        if (!storage.set()[i].trainable) continue;
        for (std::uint32_t slot = 0; slot < storage.optimizer_slots(); ++slot) {
          results.push_back(storage.read_optimizer_state(slot, i, replica));
        }
      }
    }
    return results;
  }

  struct Kernels {
    std::ptrdiff_t merged = 0;
    bool optimizer = false;
  };
  static Kernels kernels_of(const Plan& plan) {
    Kernels kernels;
    for (const PlannedOperation& operation : plan.operations()) {
      if (operation.dispatches.empty()) continue;
      const std::string& shader = operation.dispatches.front().shader;
      if (shader.starts_with("gemm_update_")) ++kernels.merged;
      for (const char* name : {"sgd", "adam", "rmsprop", "adagrad"}) {
        kernels.optimizer |= shader.starts_with(name);
      }
    }
    return kernels;
  }
};

TEST_F(OptimizerFusionTrainingTest, ChangesNoWeightOfLinearLayers) {
  expect_no_change({.layers = three_layers(), .merged = 3});
}

TEST_F(OptimizerFusionTrainingTest, ChangesNoWeightOfThreeReplicas) {
  expect_no_change({.layers = three_layers(), .merged = 3, .replicas = 3});
}

TEST_F(OptimizerFusionTrainingTest, ChangesNoWeightOfSmallLayers) {
  expect_no_change({.layers = {NetworkLayer::linear(9, false), NetworkLayer::act(Activation::relu),
                               NetworkLayer::linear(6), NetworkLayer::linear(3)},
                    .merged = 3});
}

// The optimizer keeps the normalisation's parameters and the last layer.
TEST_F(OptimizerFusionTrainingTest, ChangesNoWeightBesideANormalisation) {
  Case c = {.layers = three_layers(), .merged = 2, .optimizer = true};
  c.layers[1] = NetworkLayer::batch_norm();
  expect_no_change(c);
}

}  // namespace
}  // namespace vktrain::testing
