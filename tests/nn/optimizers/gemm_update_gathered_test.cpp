// Weight gradients that read a batch's images in the data set and update the weights and the bias
// of the layer in the same kernel: three steps of an epoch against the double-precision reference.
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "nn/optimizers/gemm_update.h"
#include "nn/optimizers/optimizer_operation.h"
#include "tests/nn/ops/gathered_fixture.h"
#include "tests/nn/optimizers/gemm_update_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;
using enum OptimizerKind;

// Sums are exact, so that no gradient is 0 but for a rounding, which Adam would amplify.
GatheredCase exact_case(const OptimizerConfig& config) {
  return {
      .normalization = {.mean = 0.5, .std = 0.5}, .exact = true, .update = replicas_of(config, 3)};
}

// Without state that a rounding shows in.
GatheredCase rounded_case() {
  return {.update = replicas_of(config_of(sgd, OptimizerDefinition::pytorch), 3)};
}

std::vector<std::pair<std::string, OptimizerConfig>> optimizers() {
  constexpr auto kPyTorch = OptimizerDefinition::pytorch;
  OptimizerConfig momentum = config_of(sgd, kPyTorch), centred = config_of(rmsprop, kPyTorch);
  momentum.momentum = centred.momentum = 0.9;
  momentum.weight_decay = 0.05;
  return {{"sgd", momentum},
          {"adam", config_of(adam, kPyTorch)},
          {"adam", config_of(adamw, kPyTorch)},
          {"rmsprop", centred},
          {"adagrad", config_of(adagrad, kPyTorch)}};
}

constexpr const char* kTiles[] = {"shuffle 32x8",
                                  "shuffle 24x8",
                                  "shuffle 20x8",
                                  "shuffle 16x8",
                                  "shuffle 8x8",
                                  "shuffle 8x32 transposed",
                                  "shuffle 8x24 transposed",
                                  "shuffle 8x20 transposed",
                                  "shuffle 8x16 transposed",
                                  "shuffle 8x8 transposed"};

class GemmUpdateGatheredTest : public GatheredTest {
 protected:
  void check_merged(const GatheredCase& c, const std::string& optimizer) {
    EXPECT_EQ(check(c), (Names{"gather_places", "gemm_update_" + optimizer + "_gathered"}));
  }
};

TEST_F(GemmUpdateGatheredTest, AnyOptimizer) {
  for (const auto& [shader, config] : optimizers()) {
    for (const char* kernel : {"shuffle 16x8", "shuffle 8x20 transposed"}) {
      GatheredCase c = exact_case(config);
      c.kernel = kernel;
      check_merged(c, shader);
      c.image = {1, 3, 3};
      c.out = 67;
      check_merged(c, shader);
    }
  }
}

TEST_F(GemmUpdateGatheredTest, AnyTile) {
  for (const char* kernel : kTiles) {
    GatheredCase c = exact_case(config_of(adam, OptimizerDefinition::pytorch));
    c.kernel = kernel;
    c.image = {1, 9, 11};
    c.batch = 37;
    c.batch_stride = 40;
    c.out = 70;
    check_merged(c, "adam");
  }
}

// Numbers between -1 and 1, and a mean that is not their middle.
TEST_F(GemmUpdateGatheredTest, AnyPixels) {
  PhiloxRng rng(81);
  for (const char* kernel : kTiles) {
    GatheredCase c = rounded_case();
    c.kernel = kernel;
    c.seed = rng.next_u32();
    c.batch = 1 + rng.below(150);
    c.batch_stride = c.batch + rng.below(5);
    c.out = 1 + rng.below(140);
    c.normalization = {.mean = rng.uniform(), .std = 0.2 + rng.uniform()};
    check_merged(c, "sgd");
  }
}

// Also of batches that another product would split.
TEST_F(GemmUpdateGatheredTest, Proposals) {
  for (const std::int64_t batch : {1, 64, 300, 1024}) {
    for (const std::int64_t out : {1, 10, 100}) {
      GatheredCase c = exact_case(config_of(adam, OptimizerDefinition::pytorch));
      c.batch = c.batch_stride = batch;
      c.out = out;
      check_merged(c, "adam");
    }
  }
}

TEST_F(GemmUpdateGatheredTest, Images28x28) {
  GatheredCase c = exact_case(config_of(adam, OptimizerDefinition::pytorch));
  c.image = {1, 28, 28};
  c.out = 100;
  c.batch = c.batch_stride = 64;
  check_merged(c, "adam");
}

TEST_F(GemmUpdateGatheredTest, WithoutABias) {
  for (const char* kernel : {"shuffle 8x8", "shuffle 8x8 transposed"}) {
    GatheredCase c = rounded_case();
    c.kernel = kernel;
    c.bias = false;
    check_merged(c, "sgd");
  }
}

TEST_F(GemmUpdateGatheredTest, MixedPrecision) {
  GatheredCase c = exact_case(config_of(sgd, OptimizerDefinition::pytorch));
  c.precision = Precision::mixed;
  for (const char* kernel : {"shuffle 16x8", "shuffle 8x16 transposed"}) {
    c.kernel = kernel;
    check_merged(c, "sgd");
  }
}

// A product that stores the gradient reads the images in the data set all the same.
TEST_F(GemmUpdateGatheredTest, ProductAndUpdateApart) {
  GatheredCase c = rounded_case();
  c.merged = false;
  const std::string sgd = by_texels(device().profile(), "sgd");
  EXPECT_EQ(check(c), (Names{"gather_places", "gemm_shuffle_tn_gathered", sgd, sgd}));
  c.bias = false;
  EXPECT_EQ(check(c), (Names{"gather_places", "gemm_shuffle_tn_gathered", sgd}));
}

TEST_F(GemmUpdateGatheredTest, SplitProducts) {
  GatheredCase c = rounded_case();
  c.batch = c.batch_stride = 1030;
  const std::string sgd = by_texels(device().profile(), "sgd");
  EXPECT_EQ(check(c),
            (Names{"gather_places", "gemm_shuffle_tn_gathered", "gemm_reduce", sgd, sgd}));
}

TEST_F(GemmUpdateGatheredTest, OtherKernelsStoreTheBatch) {
  GatheredCase c = rounded_case();
  c.kernel = "register 16x8";
  const std::string sgd = by_texels(device().profile(), "sgd");
  EXPECT_EQ(check(c), (Names{"gather_places", "gather_batch", "gemm_register_tn", sgd, sgd}));
}

// The places would take the slot of its gradient.
TEST(GemmUpdateGathered, DoesNotStoreTheGradientOfABias) {
  ParameterSet parameters;
  Graph graph(parameters);
  const StepInputs step = add_step_inputs(graph, 1);
  const ValueId dy = graph.add_external("dy", {kBatch, 4}, DType::f32, false);
  const ValueId x = graph.add_external("x", {kBatch, 5}, DType::f32, false);
  const ValueId weight = graph.add_parameter({.name = "weight", .shape = {4, 5}});
  const ValueId bias = graph.add_parameter({.name = "bias", .shape = {4}});
  const ValueId gradient = graph.gradient_slot(weight), sums = graph.gradient_slot(bias);
  const auto update = [&](ValueId bias_gradient, bool with_bias) {
    OptimizerValues values = {.step = step, .parameters = {weight}, .gradients = {gradient}};
    if (with_bias) {
      values.parameters.push_back(bias);
      values.gradients.push_back(sums);
    }
    return GemmUpdate(dy, x, bias_gradient, make_optimizer({}, std::move(values)));
  };
  EXPECT_TRUE(update(sums, true).can_gather());
  EXPECT_TRUE(update(kNoValue, false).can_gather());
  EXPECT_FALSE(update(sums, false).can_gather());
  EXPECT_THROW(update(sums, false).gather({}), std::invalid_argument);
}

}  // namespace
}  // namespace vktrain::testing
