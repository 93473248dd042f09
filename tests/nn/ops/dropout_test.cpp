#include "nn/ops/dropout.h"

#include <cmath>

#include "nn/ops/activation.h"
#include "runtime/error.h"
#include "tests/nn/ops/dropout_rig.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class DropoutTest : public OpTest {
 protected:
  static OpCase make_case(std::int64_t batch, std::int64_t columns, std::uint64_t seed,
                          const DropoutCase& settings = {}) {
    OpCase c;
    c.batch = batch;
    c.columns = columns;
    c.replicas = 3;
    c.seed = seed;
    c.build = [](Graph& graph, ValueId x) {
      const StepInputs inputs = add_step_inputs(graph, 1);
      return dropout(graph, x, kSlot, inputs, "op");
    };
    c.fill = dropout_fill(settings);
    return c;
  }

  // Output of the operation for one replica, inputs 1.
  std::vector<float> output(float probability, std::uint32_t step, std::uint32_t replica) {
    const OpGraph ops(
        make_case(256, 100, 1, {.probability = probability, .step = step, .ones = true}));
    OpRun run(device(), ops, 256, 1, replica);
    run.run();
    return run.floats(ops.y, 0);
  }
};

TEST_F(DropoutTest, MatchesReference) {
  std::uint64_t seed = 0;
  for (const auto& [batch, columns] : odd_shapes(20, 17)) {
    check_both(make_case(batch, columns, ++seed));
  }
}

TEST_F(DropoutTest, Gradients) { check_gradients(make_case(4, 6, 1, {.probability = 0.5f})); }

TEST_F(DropoutTest, ProbabilityZeroIsTheIdentity) {
  const OpGraph ops(make_case(65, 63, 1, {.probability = 0.0f}));
  OpRun run(device(), ops, 65, 1);
  run.run();
  EXPECT_EQ(run.words(ops.y, 0), run.words(ops.x, 0));
}

TEST_F(DropoutTest, ProbabilityOneDropsEverything) { EXPECT_EQ(zeros(output(1.0f, 0, 0)), 1.0); }

// The share of zeros has the standard deviation sqrt(p (1 - p) / 25600) < 0.0032: five of them.
TEST_F(DropoutTest, DropsTheAskedShareAndScalesTheRest) {
  for (float p : {0.1f, 0.5f, 0.9f}) {
    const std::vector<float> y = output(p, 0, 0);
    EXPECT_NEAR(zeros(y), p, 0.016) << p;
    for (float value : y) {
      if (value == 0) continue;
      ASSERT_NEAR(value, 1 / (1 - p), 1e-5 / (1 - p)) << p;
    }
  }
}

// Independent masks with p = 0.5 agree in half of the elements.
TEST_F(DropoutTest, MasksDifferBetweenStepsAndReplicas) {
  const std::vector<float> mask = output(0.5f, 7, 0);
  EXPECT_EQ(mask, output(0.5f, 7, 0));
  EXPECT_NEAR(agreement(mask, output(0.5f, 8, 0)), 0.5, 0.016);
  EXPECT_NEAR(agreement(mask, output(0.5f, 7, 1)), 0.5, 0.016);
}

TEST_F(DropoutTest, LayersHaveMasksOfTheirOwn) {
  OpCase c = make_case(128, 100, 1, {.probability = 0.5f, .ones = true});
  ValueId first = kNoValue, second = kNoValue;
  c.build = [&](Graph& graph, ValueId x) {
    const StepInputs inputs = add_step_inputs(graph, 1);
    first = dropout(graph, x, kSlot, inputs, "first");
    second = dropout(graph, x, kSlot + 1, inputs, "second");
    return activation(graph, first, {Activation::relu}, "op");
  };
  c.fill = dropout_fill({.probability = 0.5f, .ones = true, .slots = 2});
  const OpGraph ops(c);
  OpRun run(device(), ops, c.batch, 1);
  run.run();
  EXPECT_NEAR(agreement(run.floats(first, 0), run.floats(second, 0)), 0.5, 0.025);
}

TEST_F(DropoutTest, BackwardDropsWhatForwardDropped) {
  const OpGraph ops(make_case(65, 63, 1, {.probability = 0.5f, .ones = true}));
  OpRun run(device(), ops, 65, 1);
  run.run();
  const ValueId dx = backward_output(ops, "dropout");
  ASSERT_NE(dx, kNoValue);
  EXPECT_EQ(agreement(run.floats(ops.y, 0), run.floats(dx, 0)), 1.0);
}

TEST(DropoutShape, RefusesTooManyLayers) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 3}, DType::f32, false);
  EXPECT_THROW(dropout(graph, x, kMaxDropoutLayers, add_step_inputs(graph, 1), "9"), Error);
}

}  // namespace
}  // namespace vktrain::testing
