// Loss, hits and gradient against the reference, and the fused kernel against the two halves.
#include "nn/ops/softmax_cross_entropy.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "nn/executable.h"
#include "nn/reference/reference_memory.h"
#include "nn/rng.h"
#include "runtime/error.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// Forward alone, backward alone, and both in one.
struct LossGraph {
  explicit LossGraph(std::int64_t classes, double label_smoothing = 0)
      : smoothing(label_smoothing) {
    logits = graph.add_external("logits", {kBatch, classes}, DType::f32, false);
    labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    forward = softmax_cross_entropy(graph, logits, labels, smoothing);
    gradient = graph.add_activation("gradient", {kBatch, classes});
    graph.add(
        std::make_unique<SoftmaxCrossEntropy>(logits, labels, CrossEntropy{}, gradient, smoothing));
    fused = {graph.add_activation("loss", {kBatch}),
             graph.add_activation("correct", {kBatch}, DType::u32)};
    fused_gradient = graph.add_activation("gradient", {kBatch, classes});
    graph.add(
        std::make_unique<SoftmaxCrossEntropy>(logits, labels, fused, fused_gradient, smoothing));
  }

  double smoothing;
  ParameterSet parameters;
  Graph graph{parameters};
  ValueId logits, labels;
  CrossEntropy forward, fused;
  ValueId gradient, fused_gradient;
};

struct Inputs {
  std::vector<float> logits;
  std::vector<std::uint32_t> labels;
};

class SoftmaxCrossEntropyTest : public DeviceTest {
 protected:
  static Inputs random_inputs(std::int64_t batch, std::int64_t classes, double scale,
                              PhiloxRng& rng) {
    Inputs inputs;
    for (std::int64_t i = 0; i < batch * classes; ++i) {
      inputs.logits.push_back(static_cast<float>(scale * rng.normal()));
    }
    for (std::int64_t i = 0; i < batch; ++i) {
      inputs.labels.push_back(rng.below(static_cast<std::uint32_t>(classes)));
    }
    return inputs;
  }

  void compare(const LossGraph& g, const Executable& run, const Inputs& inputs, std::int64_t batch,
               std::uint32_t replica) {
    ReferenceMemory memory(g.graph, batch);
    memory[g.logits].assign(inputs.logits.begin(), inputs.logits.end());
    memory[g.labels].assign(inputs.labels.begin(), inputs.labels.end());
    run_reference(g.graph, memory);
    const std::vector<float> loss = run.read(g.forward.loss, replica);
    const std::vector<std::uint32_t> correct = run.read_words(g.forward.correct, replica);
    for (std::size_t i = 0; i < loss.size(); ++i) {
      const double expected = memory[g.forward.loss][i];
      // Smoothing adds up all logits, whose roundings add up, too.
      const double units = g.smoothing > 0 ? 4 : 1;
      ASSERT_NEAR(loss[i], expected, 1e-6 * units * (1 + expected)) << "row " << i;
      ASSERT_EQ(correct[i], memory[g.forward.correct][i]) << "row " << i;
    }
    const std::vector<float> gradient = run.read(g.gradient, replica);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      ASSERT_NEAR(gradient[i], memory[g.gradient][i], 2e-6 / static_cast<double>(batch)) << i;
    }
    EXPECT_TRUE(run.read_words(g.forward.loss, replica) == run.read_words(g.fused.loss, replica));
    EXPECT_TRUE(correct == run.read_words(g.fused.correct, replica));
    EXPECT_TRUE(run.read_words(g.gradient, replica) == run.read_words(g.fused_gradient, replica));
  }

  // Columns past the classes are 0, so that the products that follow see nothing.
  void check_padding(const Executable& run, ValueId gradient, std::int64_t batch,
                     std::int64_t classes) {
    const std::int64_t stride = round_up(classes, 4);
    std::vector<float> all(static_cast<std::size_t>(batch * stride));
    device().download(run.memory_of(gradient).part(0, all.size() * 4),
                      std::as_writable_bytes(std::span(all)));
    for (std::int64_t i = 0; i < batch * stride; ++i) {
      if (i % stride < classes) continue;
      ASSERT_EQ(all[static_cast<std::size_t>(i)], 0.0f);
    }
  }

  void check(std::int64_t batch, std::int64_t classes, const std::vector<Inputs>& inputs,
             double smoothing = 0) {
    SCOPED_TRACE(fmt::format("batch {}, classes {}, smoothing {}", batch, classes, smoothing));
    const LossGraph g(classes, smoothing);
    const auto replicas = static_cast<std::uint32_t>(inputs.size());
    ParameterStorage storage(device(), g.parameters, replicas, 0);
    Executable run(device(), g.graph, storage,
                   {.batch = batch, .replicas = replicas, .keep_all = true});
    for (const ValueId id : {g.gradient, g.fused_gradient}) {
      device().fill(run.memory_of(id), std::bit_cast<std::uint32_t>(1e30f));
    }
    for (std::uint32_t r = 0; r < replicas; ++r) {
      run.write(g.logits, inputs[r].logits, r);
      run.write_words(g.labels, inputs[r].labels, r);
    }
    run.run();
    for (std::uint32_t r = 0; r < replicas; ++r) compare(g, run, inputs[r], batch, r);
    check_padding(run, g.gradient, batch, classes);
    check_padding(run, g.fused_gradient, batch, classes);
  }
};

TEST_F(SoftmaxCrossEntropyTest, MatchesReference) {
  PhiloxRng rng(1);
  for (const std::int64_t classes : {1, 2, 3, 10, 100, 1000}) {
    for (const std::int64_t batch : {1, 7, 64, 65, 130}) {
      std::vector<Inputs> inputs;
      for (const double scale : {0.1, 1.0, 10.0}) {
        inputs.push_back(random_inputs(batch, classes, scale, rng));
      }
      check(batch, classes, inputs);
      for (const double smoothing : {0.1, 0.7, 1.0}) check(batch, classes, inputs, smoothing);
    }
  }
}

// torch.nn.CrossEntropyLoss(label_smoothing = 0.1) of logits [1, 2, 3] and label 0: with
// p = softmax = [0.0900306, 0.2447285, 0.6652410] and target [0.9333, 0.0333, 0.0333].
TEST_F(SoftmaxCrossEntropyTest, SmoothingIsPyTorchs) {
  const LossGraph g(3, 0.1);
  ParameterStorage storage(device(), g.parameters, 1, 0);
  Executable run(device(), g.graph, storage, {.batch = 1, .keep_all = true});
  run.write(g.logits, std::vector<float>{1, 2, 3});
  run.write_words(g.labels, std::vector<std::uint32_t>{0});
  run.run();
  const double log_p[] = {-2.40760596, -1.40760596, -0.40760596};
  const double target[] = {0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3};
  double loss = 0;
  for (int i = 0; i < 3; ++i) loss -= target[i] * log_p[i];
  EXPECT_NEAR(run.read(g.forward.loss)[0], loss, 1e-6);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(run.read(g.gradient)[i], std::exp(log_p[i]) - target[i], 1e-6);
  }
}

TEST(SoftmaxCrossEntropyGradient, IsTheDerivativeOfTheLoss) {
  for (const double smoothing : {0.0, 0.1, 0.9}) {
    const LossGraph g(5, smoothing);
    ReferenceMemory memory(g.graph, 2);
    memory[g.logits] = {0.3, -1, 2, 0.5, 0, 1, 1.5, -0.5, 0, 0.2};
    memory[g.labels] = {2, 0};
    run_reference(g.graph, memory);
    for (std::size_t i = 0; i < 10; ++i) {
      const auto mean_at = [&](double shift) {
        ReferenceMemory moved = memory;
        moved[g.logits][i] += shift;
        run_reference(g.graph, moved);
        return (moved[g.forward.loss][0] + moved[g.forward.loss][1]) / 2;
      };
      EXPECT_NEAR(memory[g.gradient][i], (mean_at(1e-5) - mean_at(-1e-5)) / 2e-5, 1e-8);
    }
  }
}

// e^10000 is far beyond single precision.
TEST_F(SoftmaxCrossEntropyTest, LargeLogitsDoNotOverflow) {
  check(
      4, 3,
      {{{1e4f, -1e4f, 0, -1e4f, -1e4f, -1e4f, 1e4f, 1e4f, 1e4f, -1e4f, 9999, 1e4f}, {1, 0, 2, 1}}});
  PhiloxRng rng(2);
  check(65, 10, {random_inputs(65, 10, 1e4, rng), random_inputs(65, 10, 3e3, rng)});
}

// Of equal logits the first is the prediction.
TEST_F(SoftmaxCrossEntropyTest, TiesGoToTheFirst) {
  const Inputs inputs = {{5, 5, 5, 5, -1, 2, 2, 0, 0, 3, 3, 3}, {0, 1, 2}};
  const LossGraph g(4);
  ParameterStorage storage(device(), g.parameters, 1, 0);
  Executable run(device(), g.graph, storage, {.batch = 3, .keep_all = true});
  run.write(g.logits, inputs.logits);
  run.write_words(g.labels, inputs.labels);
  run.run();
  EXPECT_EQ(run.read_words(g.forward.correct), (std::vector<std::uint32_t>{1, 1, 0}));
  compare(g, run, inputs, 3, 0);
}

TEST(SoftmaxCrossEntropyShape, RefusesSmoothingOutOfRange) {
  for (const double smoothing : {-0.1, 1.5, std::nan("")}) {
    EXPECT_THROW(LossGraph(3, smoothing), Error) << smoothing;
  }
  try {
    const LossGraph refused(3, 1.5);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[softmax_cross_entropy] expected a label smoothing from 0 to 1, found 1.5");
  }
}

TEST(SoftmaxCrossEntropyShape, RefusesImages) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 1, 28, 28}, DType::f32, false);
  const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
  EXPECT_THROW(softmax_cross_entropy(graph, x, labels), Error);
}

}  // namespace
}  // namespace vktrain::testing
