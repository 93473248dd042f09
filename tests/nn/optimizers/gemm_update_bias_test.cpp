// Weight gradients that update their weights and the bias of the layer in the same kernel: a few
// steps of several replicas on the device against the double-precision reference, and against the
// product and the optimizer as operations of their own.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "nn/optimizers/gemm_update.h"
#include "nn/optimizers/optimizer_operation.h"
#include "tests/nn/optimizers/gemm_update_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;
using enum OptimizerDefinition;

UpdateCase with_bias(std::vector<OptimizerConfig> replicas) {
  return {.replicas = std::move(replicas), .own_bias = true};
}

class MergedGemmUpdateBiasTest : public MergedGemmUpdateTest {
 protected:
  // Three steps give the same bits with a product and an optimizer of their own.
  void expect_bits_of_apart(const UpdateCase& c) {
    const UpdateGraph g(c);
    const auto count = static_cast<std::uint32_t>(c.replicas.size());
    OpRun merged(device(), g.ops(), c.batch, count);
    const std::unique_ptr<OpRun> apart = run_apart(c, g);
    ASSERT_TRUE(has_merged(shaders(merged)));
    ASSERT_FALSE(has_merged(shaders(*apart)));
    for (std::uint32_t step = 0; step < 3; ++step) {
      g.step(merged, step, 0, count);
      g.step(*apart, step, 0, count);
    }
    for (std::uint32_t r = 0; r < count; ++r) {
      EXPECT_TRUE(g.results(merged, r) == g.results(*apart, r)) << "replica " << r;
    }
  }
};

TEST_F(MergedGemmUpdateBiasTest, Sgd) {
  OptimizerConfig config = config_of(OptimizerKind::sgd, pytorch);
  config.weight_decay = 0.05;
  check_merged(with_bias(replicas_of(config, 3)), "sgd");
  config.momentum = 0.9;
  config.dampening = 0.4;
  check_merged(with_bias(replicas_of(config, 3)), "sgd");
  config = config_of(OptimizerKind::sgd, keras);
  config.momentum = 0.9;
  config.nesterov = true;
  check_merged(with_bias(replicas_of(config)), "sgd");
}

// The epsilon is large, so that its place shows.
TEST_F(MergedGemmUpdateBiasTest, Adam) {
  for (const OptimizerDefinition definition : {pytorch, keras}) {
    OptimizerConfig config = config_of(OptimizerKind::adam, definition);
    config.epsilon = 0.1;
    config.weight_decay = 0.03;
    check_merged(with_bias(replicas_of(config, 3)), "adam");
  }
}

TEST_F(MergedGemmUpdateBiasTest, AdamW) {
  OptimizerConfig config = config_of(OptimizerKind::adamw, pytorch);
  config.weight_decay = 0.5;
  check_merged(with_bias(replicas_of(config)), "adam");
}

TEST_F(MergedGemmUpdateBiasTest, RmsProp) {
  for (const double momentum : {0.0, 0.9}) {
    OptimizerConfig config = config_of(OptimizerKind::rmsprop, pytorch);
    config.momentum = momentum;
    check_merged(with_bias(replicas_of(config, 3)), "rmsprop");
  }
}

TEST_F(MergedGemmUpdateBiasTest, Adagrad) {
  OptimizerConfig config = config_of(OptimizerKind::adagrad, pytorch);
  config.initial_accumulator = 0.1;
  check_merged(with_bias(replicas_of(config, 3)), "adagrad");
}

// Rows and columns that leave padding and fill tiles, each with several depths.
TEST_F(MergedGemmUpdateBiasTest, AnyShape) {
  constexpr std::int64_t kBatches[] = {1, 19, 64, 300, 1024};
  std::size_t number = 0;
  for (const std::int64_t out : {1, 3, 10, 37, 100}) {
    for (const std::int64_t in : {5, 64, 101}) {
      UpdateCase c = with_bias(adam_replicas());
      c.batch = kBatches[number++ % std::size(kBatches)];
      c.out = out;
      c.in = in;
      c.kernel = "";
      SCOPED_TRACE(fmt::format("batch {}, {} x {}", c.batch, c.out, c.in));
      check_merged(c, "adam");
    }
  }
}

// Of each height of tile.
TEST_F(MergedGemmUpdateBiasTest, AnyKernel) {
  for (const std::int64_t rows : {8, 16, 20, 24, 32}) {
    UpdateCase c = with_bias(adam_replicas());
    c.kernel = fmt::format("shuffle {}x8", rows);
    SCOPED_TRACE(c.kernel);
    check_merged(c, "adam");
  }
}

// The sums of dy are in the lanes that hold it; with the gradient of a bias, or its update, that
// ends in the first, the second or no half of a lane.
TEST_F(MergedGemmUpdateBiasTest, AnyTransposedKernel) {
  for (const std::int64_t columns : {8, 16, 20, 24, 32}) {
    for (const std::int64_t out : {1, 6, 37, 64, 75}) {
      UpdateCase c = with_bias(adam_replicas());
      c.kernel = fmt::format("shuffle 8x{} transposed", columns);
      c.out = out;
      SCOPED_TRACE(fmt::format("{} outputs by {}", out, c.kernel));
      check_merged(c, "adam");
      c.own_bias = false;
      check_merged(c, "adam");
    }
  }
}

TEST_F(MergedGemmUpdateBiasTest, MixedPrecision) {
  OptimizerConfig config = config_of(OptimizerKind::sgd, pytorch);
  config.momentum = 0.9;
  for (const std::int64_t batch : {19, 300}) {
    UpdateCase c = with_bias(replicas_of(config));
    c.batch = batch;
    c.kernel = "";
    c.precision = Precision::mixed;
    check_merged(c, "sgd");
  }
}

// Those between the weights and the bias, too. Tiles of 20 and 24 rows reach past a bias of 64,
// which has no padding, into the parameter behind it.
TEST_F(MergedGemmUpdateBiasTest, LeavesOtherParametersAndTheirStateAlone) {
  for (const std::int64_t out : {1, 10, 37, 64}) {
    for (const char* kernel : {"shuffle 8x8", "shuffle 20x8", "shuffle 24x8",
                               "shuffle 8x20 transposed", "shuffle 8x32 transposed"}) {
      SCOPED_TRACE(fmt::format("{} by {}", out, kernel));
      UpdateCase c = with_bias(adam_replicas());
      c.others = false;
      c.out = out;
      c.kernel = kernel;
      check_leaves_others_alone(c, {1, 3});
    }
  }
}

// Products that alone would be split.
TEST_F(MergedGemmUpdateBiasTest, DoesNotSplitShortProducts) {
  for (const std::int64_t batch : {300, 512, 1024}) {
    SCOPED_TRACE(batch);
    UpdateCase c = with_bias(adam_replicas());
    c.batch = batch;
    c.kernel = "";
    EXPECT_TRUE(splits_alone(c));
    check_merged(c, "adam");
  }
}

// The weights and the bias, which are no neighbours, are two parts for the optimizer.
TEST_F(MergedGemmUpdateBiasTest, FallsBackForLongProducts) {
  UpdateCase c = with_bias(adam_replicas());
  c.batch = 1025;
  c.kernel = "";
  const std::string adam = by_texels(device().profile(), "adam");
  EXPECT_EQ(check(c), with_rest(c, {"gemm_shuffle_tn", "gemm_reduce", adam, adam}, "adam"));
}

TEST_F(MergedGemmUpdateBiasTest, FallsBackForOtherKernels) {
  UpdateCase c = with_bias(adam_replicas());
  c.kernel = "register 16x8";
  const std::string adam = by_texels(device().profile(), "adam");
  EXPECT_EQ(check(c), with_rest(c, {"gemm_register_tn", adam, adam}, "adam"));
}

// With one replica alone the product updates, and the bits are the same, also where the product
// alone would be split.
TEST_F(MergedGemmUpdateBiasTest, FallsBackWhereSlotsAreNotJoined) {
  for (const std::int64_t batch : {19, 300}) {
    UpdateCase c = with_bias(adam_replicas());
    c.batch = batch;
    c.kernel = "";
    UpdateGraph g(c);
    bind_no_joined_slots(g);
    const std::string adam = by_texels(device().profile(), "adam");
    EXPECT_EQ(check(c, g), with_rest(c, {"gemm_shuffle_tn", adam, adam}, "adam"));
    const OpRun single(device(), g.ops(), c.batch, 1);
    EXPECT_EQ(shaders(single), with_rest(c, {"gemm_update_adam"}, "adam"));
  }
}

// The same sums in the same order and the same formula, also where the product alone would be
// split.
TEST_F(MergedGemmUpdateBiasTest, HasTheBitsOfProductAndOptimizer) {
  using enum OptimizerKind;
  for (const OptimizerKind kind : {sgd, adam, rmsprop, adagrad}) {
    for (const std::int64_t batch : {64, 300}) {
      UpdateCase c = with_bias(replicas_of(config_of(kind, pytorch)));
      c.batch = batch;
      c.kernel = "";
      EXPECT_EQ(splits_alone(c), batch == 300);
      expect_bits_of_apart(c);
    }
  }
}

// Operands that are not exact, so that another order of the sums shows.
TEST_F(MergedGemmUpdateBiasTest, HasTheBitsOfProductAndOptimizerOfRoundedSums) {
  for (const Precision precision : {Precision::f32, Precision::mixed}) {
    UpdateCase c = with_bias(replicas_of(config_of(OptimizerKind::sgd, pytorch), 3));
    c.batch = 300;
    c.kernel = "";
    c.exact = false;
    c.precision = precision;
    expect_bits_of_apart(c);
    c.own_bias = false;
    expect_bits_of_apart(c);
  }
}

class GemmUpdateArguments : public ::testing::Test {
 protected:
  ValueId parameter(const char* name, const Shape& shape) {
    return graph_.add_parameter({.name = name, .shape = shape});
  }
  void construct(const std::vector<ValueId>& of, ValueId bias_gradient,
                 ValueId penalties = kNoValue) {
    OptimizerValues values = {.step = step_, .parameters = of, .gradients = {}};
    for (const ValueId id : of) values.gradients.push_back(graph_.gradient_slot(id));
    values.penalty_partials = penalties;
    GemmUpdate(dy_, x_, bias_gradient, make_optimizer({}, std::move(values)));
  }

  ParameterSet parameters_;
  Graph graph_{parameters_};
  StepInputs step_ = add_step_inputs(graph_, 1);
  ValueId dy_ = graph_.add_external("dy", {kBatch, 4}, DType::f32, false);
  ValueId x_ = graph_.add_external("x", {kBatch, 5}, DType::f32, false);
  ValueId weight_ = parameter("weight", {4, 5}), bias_ = parameter("bias", {4});
};

TEST_F(GemmUpdateArguments, AreWeightsAndPerhapsTheirBias) {
  const ValueId gradient = graph_.gradient_slot(bias_);
  EXPECT_NO_THROW(construct({weight_}, kNoValue));
  EXPECT_NO_THROW(construct({weight_}, gradient));
  EXPECT_NO_THROW(construct({weight_, bias_}, gradient));
  const ValueId third = parameter("third", {4});
  EXPECT_THROW(construct({weight_, bias_, third}, gradient), std::invalid_argument);
}

TEST_F(GemmUpdateArguments, BiasHasTheGradientThatTheProductMakes) {
  EXPECT_THROW(construct({weight_, bias_}, kNoValue), std::invalid_argument);
  const ValueId other = graph_.gradient_slot(parameter("other", {4}));
  EXPECT_THROW(construct({weight_, bias_}, other), std::invalid_argument);
}

TEST_F(GemmUpdateArguments, HaveNoPenalties) {
  const ValueId partials = graph_.add_activation("penalty_partials", {1});
  EXPECT_THROW(construct({weight_}, kNoValue, partials), std::invalid_argument);
  EXPECT_THROW(construct({weight_, bias_}, graph_.gradient_slot(bias_), partials),
               std::invalid_argument);
}

TEST_F(GemmUpdateArguments, BiasIsReadAndWrittenInPlace) {
  OptimizerValues values = {
      .step = step_,
      .parameters = {weight_, bias_},
      .gradients = {graph_.gradient_slot(weight_), graph_.gradient_slot(bias_)}};
  const ValueId gradient = values.gradients[1];
  const GemmUpdate update(dy_, x_, gradient, make_optimizer({}, std::move(values)));
  EXPECT_EQ(update.outputs(), (std::vector<ValueId>{weight_, gradient, bias_}));
  EXPECT_EQ(std::ranges::count(update.inputs(), weight_), 1);
  EXPECT_EQ(std::ranges::count(update.inputs(), bias_), 1);
}

}  // namespace
}  // namespace vktrain::testing
