#include "nn/ops/dropout2d.h"

#include <cmath>
#include <limits>

#include "nn/ops/add.h"
#include "tests/nn/ops/dropout_rig.h"
#include "tests/nn/ops/image_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class Dropout2dTest : public OpTest {
 protected:
  static OpCase make_case(const ImageShape& image, std::uint64_t seed,
                          const DropoutCase& settings = {}) {
    OpCase c = image_case(image, seed, [](Graph& graph, ValueId x) {
      return dropout2d(graph, x, kSlot, add_step_inputs(graph, 1), "op");
    });
    c.replicas = 3;
    c.fill = dropout_fill(settings);
    return c;
  }

  // One factor per image and channel, inputs 1; every position of a channel must hold the same.
  static std::vector<float> factors(const std::vector<float>& y, std::size_t plane) {
    std::vector<float> result;
    for (std::size_t i = 0; i < y.size(); ++i) {
      if (i % plane == 0) result.push_back(y[i]);
      if (y[i] == result.back()) continue;
      ADD_FAILURE() << "element " << i << " of a channel of " << result.back() << " is " << y[i];
      break;
    }
    return result;
  }

  std::vector<float> output(float probability, std::uint32_t step, std::uint32_t replica) {
    constexpr ImageShape kImage{256, 50, 3, 3};
    const OpGraph ops(
        make_case(kImage, 1, {.probability = probability, .step = step, .ones = true}));
    OpRun run(device(), ops, kImage.batch, 1, replica);
    run.run();
    return factors(run.floats(ops.y, 0), 9);
  }
};

TEST_F(Dropout2dTest, MatchesReference) {
  std::uint64_t seed = 0;
  for (const ImageShape& image : odd_images(24, 19)) check_both(make_case(image, ++seed));
  check_both(make_case({150, 20, 7, 7}, 100));
}

TEST_F(Dropout2dTest, Gradients) {
  check_gradients(make_case({4, 3, 2, 3}, 1, {.probability = 0.5f}));
}

TEST_F(Dropout2dTest, ProbabilityZeroIsTheIdentity) {
  const OpGraph ops(make_case({65, 3, 5, 5}, 1, {.probability = 0.0f}));
  OpRun run(device(), ops, 65, 1);
  run.run();
  EXPECT_EQ(run.words(ops.y, 0), run.words(ops.x, 0));
}

TEST_F(Dropout2dTest, ProbabilityOneDropsEverything) { EXPECT_EQ(zeros(output(1.0f, 0, 0)), 1.0); }

// The share of zeros has the standard deviation sqrt(p (1 - p) / 12800) < 0.0045: five of them.
TEST_F(Dropout2dTest, DropsTheAskedShareOfChannelsAndScalesTheRest) {
  for (float p : {0.1f, 0.5f, 0.9f}) {
    const std::vector<float> y = output(p, 0, 0);
    EXPECT_NEAR(zeros(y), p, 0.0225) << p;
    for (float value : y) {
      if (value == 0) continue;
      ASSERT_NEAR(value, 1 / (1 - p), 1e-5 / (1 - p)) << p;
    }
  }
}

// Independent masks with p = 0.5 agree in half of the channels.
TEST_F(Dropout2dTest, MasksDifferBetweenStepsReplicasAndNeighbours) {
  const std::vector<float> mask = output(0.5f, 7, 0);
  EXPECT_EQ(mask, output(0.5f, 7, 0));
  EXPECT_NEAR(agreement(mask, output(0.5f, 8, 0)), 0.5, 0.0225);
  EXPECT_NEAR(agreement(mask, output(0.5f, 7, 1)), 0.5, 0.0225);
  for (std::ptrdiff_t distance : {1, 4, 50}) {
    const std::vector<float> near(mask.begin(), mask.end() - distance);
    const std::vector<float> far(mask.begin() + distance, mask.end());
    EXPECT_NEAR(agreement(near, far), 0.5, 0.0225) << distance;
  }
}

TEST_F(Dropout2dTest, LayersHaveMasksOfTheirOwn) {
  constexpr ImageShape kImage{256, 50, 2, 2};
  ValueId first = kNoValue, second = kNoValue;
  OpCase c = image_case(kImage, 1, [&](Graph& graph, ValueId x) {
    const StepInputs inputs = add_step_inputs(graph, 1);
    first = dropout2d(graph, x, kSlot, inputs, "first");
    second = dropout2d(graph, x, kSlot + 1, inputs, "second");
    return add(graph, first, second, "both");
  });
  c.fill = dropout_fill({.probability = 0.5f, .ones = true, .slots = 2});
  const OpGraph ops(c);
  OpRun run(device(), ops, c.batch, 1);
  run.run();
  EXPECT_NEAR(agreement(factors(run.floats(first, 0), 4), factors(run.floats(second, 0), 4)), 0.5,
              0.0225);
}

TEST_F(Dropout2dTest, BackwardDropsWhatForwardDropped) {
  const OpGraph ops(make_case({65, 7, 3, 3}, 1, {.probability = 0.5f, .ones = true}));
  OpRun run(device(), ops, 65, 1);
  run.run();
  const ValueId dx = backward_output(ops, "dropout2d");
  ASSERT_NE(dx, kNoValue);
  EXPECT_EQ(agreement(run.floats(ops.y, 0), run.floats(dx, 0)), 1.0);
}

TEST_F(Dropout2dTest, DroppedInfinitiesAreZero) {
  OpCase c = make_case({16, 8, 3, 3}, 1, {.probability = 1.0f});
  c.input_gradient = false;
  c.fill = [](const Value& value, std::size_t count, std::uint32_t replica, PhiloxRng&) {
    if (value.name != "input") return fill_dropout({.probability = 1.0f}, value, count, replica);
    return std::optional(
        words_of(std::vector<float>(count, std::numeric_limits<float>::infinity())));
  };
  const OpGraph ops(c);
  OpRun run(device(), ops, c.batch, 1);
  run.run();
  EXPECT_EQ(zeros(run.floats(ops.y, 0)), 1.0);
}

TEST(Dropout2dShape, RefusesOtherShapesAndTooManyLayers) {
  ParameterSet parameters;
  Graph graph(parameters);
  const StepInputs inputs = add_step_inputs(graph, 1);
  const ValueId image = graph.add_external("image", {kBatch, 3, 8, 8}, DType::f32, false);
  const ValueId vector = graph.add_external("vector", {kBatch, 3}, DType::f32, false);
  EXPECT_EQ(error_of([&] { dropout2d(graph, vector, 0, inputs, "9"); }),
            "[dropout2d] 9: expected input of shape [batch, channels, height, width], found "
            "[batch, 3]; dropout takes any shape");
  EXPECT_EQ(error_of([&] { dropout2d(graph, image, kMaxDropoutLayers, inputs, "9"); }),
            "[dropout2d] 9: this is dropout layer 17, but a network can have 16");
}

}  // namespace
}  // namespace vktrain::testing
