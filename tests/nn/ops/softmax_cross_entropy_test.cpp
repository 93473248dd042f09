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
  explicit LossGraph(std::int64_t classes) {
    logits = graph.add_external("logits", {kBatch, classes}, DType::f32, false);
    labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    forward = softmax_cross_entropy(graph, logits, labels);
    gradient = graph.add_activation("gradient", {kBatch, classes});
    graph.add(std::make_unique<SoftmaxCrossEntropy>(logits, labels, CrossEntropy{}, gradient));
    fused = {graph.add_activation("loss", {kBatch}),
             graph.add_activation("correct", {kBatch}, DType::u32)};
    fused_gradient = graph.add_activation("gradient", {kBatch, classes});
    graph.add(std::make_unique<SoftmaxCrossEntropy>(logits, labels, fused, fused_gradient));
  }

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
      ASSERT_NEAR(loss[i], expected, 1e-6 * (1 + expected)) << "row " << i;
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

  void check(std::int64_t batch, std::int64_t classes, const std::vector<Inputs>& inputs) {
    SCOPED_TRACE(fmt::format("batch {}, classes {}", batch, classes));
    const LossGraph g(classes);
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

TEST(SoftmaxCrossEntropyShape, RefusesImages) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 1, 28, 28}, DType::f32, false);
  const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
  EXPECT_THROW(softmax_cross_entropy(graph, x, labels), Error);
}

}  // namespace
}  // namespace vktrain::testing
