// A last linear layer with its loss and its data gradient in one kernel, by itself, against the
// reference.
//
// Inputs are small multiples of powers of two, so that every sum of products that makes a logit is
// exact in any order: the bounds are those of the loss alone (softmax_cross_entropy_test.cpp).
#include "nn/ops/linear_cross_entropy.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "nn/reference/activation.h"
#include "tests/nn/ops/linear_cross_entropy_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

struct HeadGraph {
  explicit HeadGraph(const Head& h) {
    v.x = graph.add_external("x", {kBatch, h.in}, DType::f32, false);
    v.weight = graph.add_parameter({.name = "weight", .shape = {h.classes, h.in}});
    if (h.bias) v.bias = graph.add_parameter({.name = "bias", .shape = {h.classes}});
    v.labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    v.result = {graph.add_activation("loss", {kBatch}),
                graph.add_activation("correct", {kBatch}, DType::u32)};
    if (h.apart) v.logits = graph.add_activation("logits", {kBatch, h.classes});
    v.gradient = graph.add_activation("gradient", {kBatch, h.classes});
    if (h.data_gradient) v.data_gradient = graph.add_activation("dx", {kBatch, h.in});
    v.gradient_activation = h.activation;
    graph.add(std::make_unique<LinearCrossEntropy>(v, h.smoothing));
  }

  std::vector<ValueId> outputs() const { return graph.operations()[0]->outputs(); }

  ParameterSet parameters;
  Graph graph{parameters};
  LinearCrossEntropyValues v;
};

struct Inputs {
  std::vector<float> x, weight, bias;
  std::vector<std::uint32_t> labels;
};

// x and bias in eighths; weights with a deviation of about 2 / sqrt(in), times `scale`, which is a
// power of two.
Inputs random_inputs(const Head& h, float scale, PhiloxRng& rng) {
  Inputs inputs;
  const auto draw = [&rng](std::int64_t count, std::uint32_t most, float unit) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) {
      values.push_back(unit *
                       (static_cast<float>(rng.below(2 * most + 1)) - static_cast<float>(most)));
    }
    return values;
  };
  const int halvings = static_cast<int>(std::ceil(std::log2(std::sqrt(h.in))));
  inputs.x = draw(h.batch * h.in, 8, 0.125f);
  inputs.weight = draw(h.classes * h.in, 4, std::ldexp(scale, -halvings));
  if (h.bias) inputs.bias = draw(h.classes, 16, 0.125f);
  for (std::int64_t i = 0; i < h.batch; ++i) {
    inputs.labels.push_back(rng.below(static_cast<std::uint32_t>(h.classes)));
  }
  return inputs;
}

ReferenceMemory memory_of(const HeadGraph& g, const Inputs& inputs, std::int64_t batch) {
  ReferenceMemory memory(g.graph, batch);
  memory[g.v.x].assign(inputs.x.begin(), inputs.x.end());
  memory[g.v.weight].assign(inputs.weight.begin(), inputs.weight.end());
  if (g.v.bias != kNoValue) memory[g.v.bias].assign(inputs.bias.begin(), inputs.bias.end());
  memory[g.v.labels].assign(inputs.labels.begin(), inputs.labels.end());
  return memory;
}

class LinearCrossEntropyTest : public HeadTest {
 protected:
  static void check_loss(const HeadGraph& g, const Executable& run, ReferenceMemory& memory,
                         double smoothing, std::uint32_t replica) {
    const std::vector<float> loss = run.read(g.v.result.loss, replica);
    const std::vector<std::uint32_t> correct = run.read_words(g.v.result.correct, replica);
    const double units = smoothing > 0 ? 4 : 1;
    for (std::size_t i = 0; i < loss.size(); ++i) {
      const double expected = memory[g.v.result.loss][i];
      ASSERT_NEAR(loss[i], expected, 1e-6 * units * (1 + expected)) << "row " << i;
      ASSERT_EQ(correct[i], memory[g.v.result.correct][i]) << "row " << i;
    }
    const std::vector<float> gradient = run.read(g.v.gradient, replica);
    const auto batch = static_cast<double>(loss.size());
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      ASSERT_NEAR(gradient[i], memory[g.v.gradient][i], 2e-6 / batch) << i;
    }
  }

  // Each gradient is off by 2e-6 / batch at most and no larger than 1 / batch; its product with a
  // weight, the sum of 16 and the derivative round less than 20 times, 6e-8 each.
  static void check_data_gradient(const HeadGraph& g, const Executable& run,
                                  ReferenceMemory& memory, std::uint32_t replica) {
    if (g.v.data_gradient == kNoValue) return;
    const std::vector<float> dx = run.read(g.v.data_gradient, replica);
    const std::vector<double>&x = memory[g.v.x], &weight = memory[g.v.weight];
    const std::size_t rows = memory[g.v.labels].size(), in = dx.size() / rows;
    const auto batch = static_cast<double>(rows);
    for (std::size_t i = 0; i < dx.size(); ++i) {
      double weights = 0;
      for (std::size_t k = i % in; k < weight.size(); k += in) weights += std::fabs(weight[k]);
      const double slope =
          std::fabs(reference::activation_derivative(g.v.gradient_activation, x[i]));
      ASSERT_NEAR(dx[i], memory[g.v.data_gradient][i], 3.2e-6 / batch * weights * slope)
          << "row " << i / in << ", column " << i % in;
    }
  }

  std::vector<float> whole(const Executable& run, ValueId id) {
    const runtime::Slice slice = run.memory_of(id);
    std::vector<float> all(slice.size / 4);
    device().download(slice, std::as_writable_bytes(std::span(all)));
    return all;
  }

  // Of the first replica: 0 behind the classes, so that the products that follow see nothing, and
  // behind the data gradient.
  void check_padding(const HeadGraph& g, const Executable& run, const Head& h) {
    const auto expect_zeros = [&](ValueId id, std::int64_t columns) {
      const std::vector<float> all = whole(run, id);
      const std::int64_t stride = round_up(columns, 4);
      for (std::int64_t i = 0; i < h.batch * stride; ++i) {
        if (i % stride < columns) continue;
        ASSERT_EQ(all[static_cast<std::size_t>(i)], 0.0f) << i;
      }
    };
    expect_zeros(g.v.gradient, h.classes);
    if (h.data_gradient) expect_zeros(g.v.data_gradient, h.in);
  }

  // Padding of x whose square is no float any more: nothing may depend on it.
  void write_x(const HeadGraph& g, Executable& run, const Head& h, const std::vector<float>& x,
               std::uint32_t replica) {
    const std::int64_t stride = round_up(h.in, 4);
    std::vector<float> padded(static_cast<std::size_t>(h.batch * stride), 1e30f);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto column = static_cast<std::int64_t>(i);
      padded[static_cast<std::size_t>(column / h.in * stride + column % h.in)] = x[i];
    }
    const runtime::Slice all = run.memory_of(g.v.x);
    const std::uint64_t replica_bytes = all.size / run.plan().options().replicas;
    device().upload(all.part(replica * replica_bytes, padded.size() * 4),
                    std::as_bytes(std::span(padded)));
  }

  static PlanOptions options_of(const Head& h, const HeadGraph& g, std::uint32_t replicas,
                                const runtime::DeviceProfile& profile) {
    PlanOptions options = {
        .batch = h.batch, .replicas = replicas, .keep_all = true, .plan_for = profile};
    if (!h.apart) return options;
    const Plan plan(g.graph, ParameterLayout(g.parameters), profile, options);
    VariantChoices choices;
    for (const VariantQuestion& question : plan.questions()) {
      choices.answer(question.family, question.shape, "apart");
    }
    EXPECT_FALSE(choices.all().empty());
    options.variants = std::make_shared<const VariantChoices>(choices);
    return options;
  }

  // Of small numbers, whose sums of products are exact.
  static void check_logits(const HeadGraph& g, const Executable& run, ReferenceMemory& memory,
                           std::uint32_t replica) {
    if (g.v.logits == kNoValue) return;
    const std::vector<float> logits = run.read(g.v.logits, replica);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      ASSERT_EQ(logits[i], memory[g.v.logits][i]) << i;
    }
  }

  void compare(const Head& h, const std::vector<Inputs>& inputs,
               const runtime::DeviceProfile& profile) {
    const HeadGraph g(h);
    const auto replicas = static_cast<std::uint32_t>(inputs.size());
    ParameterStorage storage(device(), g.parameters, replicas, 0);
    Executable run(device(), g.graph, storage, options_of(h, g, replicas, profile));
    EXPECT_EQ(run.plan().dispatch_count(), !h.apart ? 1u : h.data_gradient ? 3u : 2u);
    for (const ValueId id : g.outputs()) {
      device().fill(run.memory_of(id), std::bit_cast<std::uint32_t>(1e30f));
    }
    for (std::uint32_t r = 0; r < replicas; ++r) {
      write_x(g, run, h, inputs[r].x, r);
      run.write(g.v.weight, inputs[r].weight, r);
      if (h.bias) run.write(g.v.bias, inputs[r].bias, r);
      run.write_words(g.v.labels, inputs[r].labels, r);
    }
    run.run();
    for (std::uint32_t r = 0; r < replicas; ++r) {
      SCOPED_TRACE(fmt::format("replica {}", r));
      ReferenceMemory memory = memory_of(g, inputs[r], h.batch);
      run_reference(g.graph, memory);
      check_logits(g, run, memory, r);
      check_loss(g, run, memory, h.smoothing, r);
      check_data_gradient(g, run, memory, r);
    }
    check_padding(g, run, h);
  }

  // Of profiles(): each of them, or the one whose turn it is.
  void compare_on(std::vector<runtime::DeviceProfile> devices, const Head& h,
                  const std::vector<Inputs>& inputs) {
    SCOPED_TRACE(to_string(h));
    for (const runtime::DeviceProfile& profile : devices) {
      SCOPED_TRACE(
          fmt::format("{}, {} texels", to_string(profile.kind), profile.max_texel_elements));
      compare(h, inputs, profile);
    }
  }
  void compare_on_all(const Head& h, const std::vector<Inputs>& inputs) {
    compare_on(profiles(), h, inputs);
  }
  // Replicas with logits of about 1.5, 6 and 24.
  static std::vector<Inputs> replicas_of(const Head& h, PhiloxRng& rng) {
    std::vector<Inputs> inputs;
    for (const float scale : {1.0f, 4.0f, 16.0f}) inputs.push_back(random_inputs(h, scale, rng));
    return inputs;
  }
};

// Every batch with every number of classes; the inputs take turns, the rest is drawn.
TEST_F(LinearCrossEntropyTest, MatchesReference) {
  constexpr std::int64_t kIn[] = {1, 3, 4, 30, 64, 100, 257};
  PhiloxRng rng(1);
  std::size_t turn = 0;
  for (const std::int64_t batch : {1, 3, 7, 33, 64, 65, 130, 515}) {
    for (const std::int64_t classes : {1, 2, 3, 10, 13, 16}) {
      Head h = {.batch = batch, .in = kIn[turn++ % std::size(kIn)], .classes = classes};
      h.bias = rng.below(2) == 0;
      h.data_gradient = rng.below(3) > 0;
      if (h.data_gradient) {
        h.activation = kActivations[rng.below(static_cast<std::uint32_t>(kActivations.size()))];
      }
      const double smoothings[] = {0, 0.1, 1};
      h.smoothing = smoothings[rng.below(3)];
      compare_on({device().profile(), next_profile()}, h, replicas_of(h, rng));
      if (HasFatalFailure()) return;
    }
  }
}

// Each activation on each device, with and without a bias.
TEST_F(LinearCrossEntropyTest, EveryKindOfItMatchesReference) {
  PhiloxRng rng(2);
  for (const double smoothing : {0.0, 0.1, 1.0}) {
    for (const bool bias : {false, true}) {
      Head h = {.batch = 21, .in = 18, .classes = 6, .bias = bias, .smoothing = smoothing};
      for (const ActivationSpec& activation : kActivations) {
        h.activation = activation;
        compare_on({next_profile()}, h, replicas_of(h, rng));
      }
      h.activation = {};
      h.data_gradient = false;
      compare_on({next_profile()}, h, replicas_of(h, rng));
    }
  }
}

TEST_F(LinearCrossEntropyTest, ApartMatchesReference) {
  PhiloxRng rng(4);
  for (const std::int64_t batch : {1, 65}) {
    Head h = {.batch = batch, .in = 30, .classes = 10, .smoothing = 0.1, .apart = true};
    for (const ActivationSpec& activation : kActivations) {
      h.activation = activation;
      h.bias = !h.bias;
      compare_on({next_profile()}, h, replicas_of(h, rng));
    }
    h.activation = {};
    h.data_gradient = false;
    compare_on({next_profile()}, h, replicas_of(h, rng));
  }
}

TEST_F(LinearCrossEntropyTest, RefusesMixedPrecision) {
  HeadGraph g({.batch = 2, .in = 5, .classes = 3});
  set_precision(g.graph, Precision::mixed);
  EXPECT_THROW(Plan(g.graph, ParameterLayout(g.parameters), device().profile(), {.batch = 2}),
               std::invalid_argument);
}

// With the identity as weights, x are the logits.
Inputs with_logits(std::vector<float> logits, std::size_t classes,
                   std::vector<std::uint32_t> labels) {
  Inputs inputs = {std::move(logits), std::vector<float>(classes * classes), {}, std::move(labels)};
  for (std::size_t c = 0; c < classes; ++c) inputs.weight[c * classes + c] = 1;
  return inputs;
}

// e^10000 is far beyond single precision.
TEST_F(LinearCrossEntropyTest, LargeLogitsDoNotOverflow) {
  compare_on_all(
      {.batch = 4, .in = 3, .classes = 3, .bias = false},
      {with_logits({1e4f, -1e4f, 0, -1e4f, -1e4f, -1e4f, 1e4f, 1e4f, 1e4f, -1e4f, 9999, 1e4f}, 3,
                   {1, 0, 2, 1})});
  PhiloxRng rng(3);
  for (const double smoothing : {0.0, 0.1}) {
    const Head h = {.batch = 65, .in = 30, .classes = 10, .smoothing = smoothing};
    compare_on_all(h, {random_inputs(h, 8192, rng), random_inputs(h, 2048, rng)});
  }
}

// Of equal logits the first is the prediction.
TEST_F(LinearCrossEntropyTest, TiesGoToTheFirst) {
  const Head h = {.batch = 5, .in = 4, .classes = 4, .bias = false};
  const Inputs inputs = with_logits(
      {5, 5, 5, 5, -1, 2, 2, 0, 0, 3, 3, 3, 1, 0, 0, 1, -1, -1, -2, -1}, 4, {0, 1, 2, 3, 0});
  const HeadGraph g(h);
  ReferenceMemory memory = memory_of(g, inputs, h.batch);
  run_reference(g.graph, memory);
  EXPECT_EQ(memory[g.v.result.correct], (std::vector<double>{1, 1, 0, 0, 1}));
  compare_on_all(h, {inputs});
}

TEST_F(LinearCrossEntropyTest, RefusesMoreThan16Classes) {
  const auto plan = [this](std::int64_t classes) {
    const HeadGraph g({.batch = 2, .in = 5, .classes = classes});
    return Plan(g.graph, ParameterLayout(g.parameters), device().profile(), {.batch = 2})
        .dispatch_count();
  };
  EXPECT_EQ(plan(16), 1u);
  try {
    plan(17);
    FAIL() << "no error";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "linear cross-entropy of 17 classes: at most 16");
  }
}

}  // namespace
}  // namespace vktrain::testing
