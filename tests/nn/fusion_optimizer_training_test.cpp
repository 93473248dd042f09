// A few steps of training with and without the updates that weight gradients' products do.
#include <gtest/gtest.h>

#include <algorithm>
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

class OptimizerFusionTrainingTest : public DeviceTest {
 protected:
  // All parameters and their state, of two replicas, after some steps.
  std::vector<std::vector<float>> train(const OptimizerConfig& config,
                                        const FusionOptions& options) {
    Network network(130, {NetworkLayer::linear(128), NetworkLayer::act(Activation::tanh),
                          NetworkLayer::linear(130), NetworkLayer::act(Activation::tanh),
                          NetworkLayer::linear(7)});
    add_optimizer(network.graph, config, network.step);
    fuse(network.graph, options, &device().profile());
    ParameterStorage storage(device(), network.parameters, 2, optimizer_slots(config));
    Executable executable(device(), network.graph, storage, {.batch = 25, .replicas = 2});
    EXPECT_EQ(merged_kernels(executable.plan()), options.weight_update ? 2 : 0);
    for (std::uint32_t step = 0; step < 4; ++step) {
      for (std::uint32_t r = 0; r < 2; ++r) load(network, config, executable, step, r);
      executable.run();
    }
    std::vector<std::vector<float>> results;
    for (std::size_t i = 0; i < 2 * network.parameters.size(); ++i) {
      const auto replica = static_cast<std::uint32_t>(i % 2);
      results.push_back(storage.read(i / 2, replica));
      for (std::uint32_t slot = 0; slot < storage.optimizer_slots(); ++slot) {
        results.push_back(storage.read_optimizer_state(slot, i / 2, replica));
      }
    }
    return results;
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

  static std::ptrdiff_t merged_kernels(const Plan& plan) {
    return std::ranges::count_if(plan.operations(), [](const PlannedOperation& operation) {
      return operation.dispatches.front().shader.starts_with("gemm_update_");
    });
  }
};

// The same sums in the same order and the same formula: the same bits.
TEST_F(OptimizerFusionTrainingTest, ChangesNoWeight) {
  if (!gemm_can_shuffle(device().profile())) GTEST_SKIP() << "needs subgroups of 8 with shuffles";
  FusionOptions plain;
  plain.weight_update = false;
  OptimizerConfig momentum = default_optimizer(OptimizerKind::sgd, OptimizerDefinition::pytorch);
  momentum.momentum = 0.9;
  for (const OptimizerConfig& config :
       {momentum, default_optimizer(OptimizerKind::adam, OptimizerDefinition::pytorch),
        default_optimizer(OptimizerKind::rmsprop, OptimizerDefinition::pytorch),
        default_optimizer(OptimizerKind::adagrad, OptimizerDefinition::pytorch)}) {
    const auto weights = train(config, {});
    EXPECT_TRUE(weights == train(config, plain));
    OptimizerConfig other = config;
    other.learning_rate *= 2;
    EXPECT_FALSE(weights == train(other, {})) << "nothing is trained";
  }
}

}  // namespace
}  // namespace vktrain::testing
