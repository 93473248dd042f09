// Clipping of whole gradient ranges against PyTorch's formulas, in double.
#include "nn/ops/clip_gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "nn/executable.h"
#include "nn/experiment/experiment.h"
#include "nn/experiment/experiment_toml.h"
#include "nn/fusion.h"
#include "nn/reference/reference_memory.h"
#include "nn/training/step_graph.h"
#include "runtime/error.h"
#include "tests/nn/expect_error.h"
#include "tests/nn/optimizers/optimizer_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// A graph that holds nothing but the clipping.
struct ClipGraph {
  ClipGraph(const ParameterSet& members, const GradientLimits& limits) : set(members), graph(set) {
    for (std::size_t i = 0; i < set.size(); ++i) {
      const ValueId id = graph.add_parameter(set[i]);
      slots.push_back(set[i].trainable ? graph.gradient_slot(id) : kNoValue);
    }
    clip_gradients(graph, limits);
  }

  ParameterSet set;
  Graph graph;
  std::vector<ValueId> slots;  // of each member; kNoValue for states
};

// The gradients after clipping, by replica.
std::vector<Tensors> run_on_device(runtime::Device& device, const ClipGraph& g,
                                   const std::vector<Tensors>& gradients) {
  const auto replicas = static_cast<std::uint32_t>(gradients.size());
  ParameterStorage storage(device, g.set, replicas, 0);
  Executable executable(device, g.graph, storage, {.batch = 1, .replicas = replicas});
  for (std::uint32_t r = 0; r < replicas; ++r) {
    for (std::size_t i = 0; i < g.set.size(); ++i) {
      if (g.set[i].trainable) storage.write_gradient(i, r, gradients[r][i]);
    }
  }
  executable.run();
  std::vector<Tensors> results(replicas, Tensors(g.set.size()));
  for (std::uint32_t r = 0; r < replicas; ++r) {
    for (std::size_t i = 0; i < g.set.size(); ++i) {
      if (g.set[i].trainable) results[r][i] = storage.read_gradient(i, r);
    }
  }
  // Padding between and within members is 0 before and after.
  const auto size = static_cast<std::size_t>(storage.layout().trainable_size());
  std::vector<float> all(size * replicas);
  device.download(storage.gradients().part(0, all.size() * 4),
                  std::as_writable_bytes(std::span(all)));
  std::size_t nonzero = 0, expected = 0;
  for (const float value : all) nonzero += value != 0 ? 1 : 0;
  for (const Tensors& tensors : results) {
    for (const std::vector<float>& tensor : tensors) {
      for (const float value : tensor) expected += value != 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(nonzero, expected);
  return results;
}

// torch.nn.utils.clip_grad_value_(value), then clip_grad_norm_(norm).
std::vector<std::vector<double>> clipped_by_hand(const Tensors& gradients,
                                                 const GradientLimits& limits) {
  std::vector<std::vector<double>> result;
  double squares = 0;
  for (const std::vector<float>& tensor : gradients) {
    std::vector<double>& values = result.emplace_back(tensor.begin(), tensor.end());
    for (double& g : values) {
      if (limits.value > 0) g = std::min(std::max(g, -limits.value), limits.value);
      squares += g * g;
    }
  }
  const double coefficient = limits.norm / (std::sqrt(squares) + 1e-6);
  if (limits.norm == 0 || coefficient >= 1) return result;
  for (std::vector<double>& values : result) {
    for (double& g : values) g *= coefficient;
  }
  return result;
}

class ClipGradientsTest : public DeviceTest {
 protected:
  void check(const ParameterSet& set, const Tensors& gradients, const GradientLimits& limits) {
    const ClipGraph g(set, limits);
    const Tensors device_result = run_on_device(device(), g, {gradients})[0];
    const auto by_hand = clipped_by_hand(gradients, limits);
    ReferenceMemory memory(g.graph, 1);
    for (std::size_t i = 0; i < set.size(); ++i) {
      if (g.slots[i] == kNoValue) continue;
      memory[g.slots[i]].assign(gradients[i].begin(), gradients[i].end());
    }
    run_reference(g.graph, memory);
    for (std::size_t i = 0; i < set.size(); ++i) {
      if (g.slots[i] == kNoValue) continue;
      for (std::size_t j = 0; j < by_hand[i].size(); ++j) {
        const double expected = by_hand[i][j];
        ASSERT_NEAR(memory[g.slots[i]][j], expected, 1e-14 * std::abs(expected));
        // A limit in single precision, the norm's and the product's roundings.
        ASSERT_NEAR(double{device_result[i][j]}, expected, 1e-6 * std::abs(expected))
            << set[i].name << " [" << j << "]";
      }
    }
  }
};

TEST_F(ClipGradientsTest, IsPyTorchs) {
  PhiloxRng rng(11);
  for (int trial = 0; trial < 12; ++trial) {
    const ParameterSet set = random_parameters(rng);
    for (const double scale : {1e-3, 1.0, 30.0}) {
      const Tensors gradients = random_tensors(set, rng, scale);
      for (const GradientLimits& limits : {GradientLimits{.value = 0.5},
                                           {.norm = 1},
                                           {.norm = 0.01},
                                           {.norm = 1e6},
                                           {.value = 0.7, .norm = 2}}) {
        SCOPED_TRACE(fmt::format("trial {}, scale {}, value {}, norm {}", trial, scale,
                                 limits.value, limits.norm));
        check(set, gradients, limits);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// More elements than the 256 partial sums cover at the usual share of a workgroup.
TEST_F(ClipGradientsTest, ManyGradients) {
  ParameterSet set;
  set.declare({.name = "weight", .shape = {1100, 1001}});
  set.declare({.name = "bias", .shape = {1100}});
  PhiloxRng rng(12);
  check(set, random_tensors(set, rng, 1.0), {.norm = 5});
}

// PyTorch's example of a norm of 5: [3, 4] becomes [0.6, 0.8] at a largest norm of 1.
TEST_F(ClipGradientsTest, NormIsTakenOverAllParametersTogether) {
  ParameterSet set;
  set.declare({.name = "a", .shape = {1}});
  set.declare({.name = "b", .shape = {1}});
  const ClipGraph g(set, {.norm = 1});
  const Tensors result = run_on_device(device(), g, {{{3}, {4}}})[0];
  EXPECT_NEAR(result[0][0], 0.6, 1e-6);
  EXPECT_NEAR(result[1][0], 0.8, 1e-6);
}

TEST_F(ClipGradientsTest, GradientsBelowTheLimitsKeepTheirBits) {
  PhiloxRng rng(13);
  const ParameterSet set = random_parameters(rng);
  const Tensors gradients = random_tensors(set, rng, 1.0);
  const ClipGraph g(set, {.value = 1e3, .norm = 1e5});
  EXPECT_EQ(run_on_device(device(), g, {gradients})[0], gradients);
}

TEST_F(ClipGradientsTest, ZerosStayZeros) {
  ParameterSet set;
  set.declare({.name = "a", .shape = {3, 5}});
  const Tensors zeros = {std::vector<float>(15, 0.0f)};
  EXPECT_EQ(run_on_device(device(), ClipGraph(set, {.norm = 1}), {zeros})[0], zeros);
}

TEST_F(ClipGradientsTest, ReplicasAreTheSingleRuns) {
  PhiloxRng rng(14);
  for (int trial = 0; trial < 4; ++trial) {
    const ParameterSet set = random_parameters(rng);
    const ClipGraph g(set, {.value = 1.5, .norm = 2});
    const std::vector<Tensors> gradients = {random_tensors(set, rng, 1.0),
                                            random_tensors(set, rng, 100.0),
                                            random_tensors(set, rng, 0.01)};
    const std::vector<Tensors> together = run_on_device(device(), g, gradients);
    for (std::size_t r = 0; r < gradients.size(); ++r) {
      EXPECT_EQ(together[r], run_on_device(device(), g, {gradients[r]})[0]) << "replica " << r;
    }
  }
}

// Where the operation stands in a step's graph, fused or not; kinds of the last operations.
TEST(ClipGradients, StandsBetweenBackwardPassAndOptimizer) {
  Experiment experiment = parse_experiment("model.layers = [\"flatten\", \"linear 10\"]", "clip");
  const auto kinds = [&] {
    std::vector<std::string> result;
    ParameterSet parameters;
    const StepGraph g =
        build_step_graph(parameters, experiment, experiment.optimizer, 100, 50, FusionOptions{});
    for (const auto& operation : g.graph.operations()) result.emplace_back(operation->kind());
    return result;
  };
  const std::vector<std::string> plain = kinds();
  EXPECT_EQ(std::ranges::count(plain, "clip_gradients"), 0);
  for (const bool by_norm : {false, true}) {
    experiment.training.clip_norm = by_norm ? 1 : 0;
    experiment.training.clip_value = by_norm ? 0 : 1;
    std::vector<std::string> clipped = kinds();
    const auto place = std::ranges::find(clipped, "clip_gradients");
    ASSERT_NE(place, clipped.end());
    EXPECT_EQ(*(place - 1), "gemm");
    EXPECT_EQ(*(place + 1), "sgd");
    clipped.erase(place);
    EXPECT_EQ(clipped, plain);
  }
}

TEST(ClipGradients, LimitsAreChecked) {
  ParameterSet set;
  set.declare({.name = "a", .shape = {3}});
  for (const double limit : {-1.0, std::nan("")}) {
    EXPECT_THROW(ClipGraph(set, {.value = limit}), Error);
    EXPECT_THROW(ClipGraph(set, {.norm = limit}), Error);
  }
  try {
    const ClipGraph refused(set, {.norm = -1});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[clip_gradients] expected a largest norm of 0 or more, found -1; 0 is no limit");
  }
  EXPECT_TRUE(ClipGraph(set, {}).graph.operations().empty());
}

TEST(ClipGradients, PenaltiesAreRefused) {
  Experiment experiment = parse_experiment("model.layers = [\"flatten\", \"linear 10\"]", "clip");
  experiment.optimizer.l2 = 0.01;
  check(experiment);
  experiment.training.clip_norm = 1;
  expect_error<UsageError>([&] { check(experiment); },
                           {"training.clip_norm", "penalty.l1", "penalty.l2", "weight_decay"});
  experiment.training.clip_norm = 0;
  experiment.training.clip_value = 1;
  expect_error<UsageError>([&] { check(experiment); }, {"training.clip_value"});
  experiment.optimizer.l2 = 0;
  check(experiment);
}

}  // namespace
}  // namespace vktrain::testing
