// The double-precision reference of the last linear layer with its loss: its gradients against
// differences of its loss, and all of it against the references of the operations that it merges.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "nn/ops/bias_add.h"
#include "nn/ops/gemm.h"
#include "nn/ops/linear_cross_entropy.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/reference/activation.h"
#include "nn/reference/linear_cross_entropy.h"
#include "nn/reference/reference_memory.h"
#include "nn/rng.h"
#include "tests/nn/ops/linear_cross_entropy_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr std::int64_t kRows = 3, kIn = 7, kClasses = 4;

std::vector<double> normal(std::int64_t count, PhiloxRng& rng) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(rng.normal());
  return values;
}

// `before` goes through the activation; the reference has the result as x.
struct Example {
  explicit Example(const ActivationSpec& spec, double label_smoothing)
      : activation(spec), smoothing(label_smoothing) {}

  void run() {
    std::vector<double> x = before;
    for (double& value : x) value = reference::activation(activation, value);
    reference::linear_cross_entropy(kRows, kIn, kClasses, smoothing, activation,
                                    {.x = x,
                                     .weight = weight,
                                     .bias = bias,
                                     .labels = labels,
                                     .loss = loss,
                                     .correct = correct,
                                     .logits = logits,
                                     .gradient = gradient,
                                     .data_gradient = data_gradient});
  }

  // Of the mean loss by one element of one of the inputs.
  double slope(std::vector<double> Example::*input, std::size_t element) const {
    constexpr double kStep = 1e-5;
    const auto mean_at = [&](double shift) {
      Example moved = *this;
      (moved.*input)[element] += shift;
      moved.run();
      return std::reduce(moved.loss.begin(), moved.loss.end()) / kRows;
    };
    return (mean_at(kStep) - mean_at(-kStep)) / (2 * kStep);
  }

  ActivationSpec activation;
  double smoothing;
  PhiloxRng rng{5};
  std::vector<double> before = normal(kRows * kIn, rng), weight = normal(kClasses * kIn, rng),
                      bias = normal(kClasses, rng), labels = {2, 0, 3};
  std::vector<double> loss = std::vector<double>(kRows), correct = loss,
                      gradient = std::vector<double>(kRows * kClasses), logits = gradient,
                      data_gradient = before;
};

TEST(LinearCrossEntropyReference, DataGradientIsTheDerivativeOfTheLoss) {
  for (const ActivationSpec& activation : kActivations) {
    for (const double smoothing : {0.0, 0.1, 1.0}) {
      SCOPED_TRACE(fmt::format("{} {}", to_string(activation.kind), smoothing));
      Example head(activation, smoothing);
      head.run();
      for (std::size_t i = 0; i < head.before.size(); ++i) {
        EXPECT_NEAR(head.data_gradient[i], head.slope(&Example::before, i), 1e-8) << i;
      }
    }
  }
}

// By a weight it is the gradient's sum over the rows, each times an x: as the rows of x are
// independent, one wrong element of the gradient shows.
TEST(LinearCrossEntropyReference, GradientIsTheDerivativeOfTheLoss) {
  for (const double smoothing : {0.0, 0.1, 1.0}) {
    Example head({}, smoothing);
    head.run();
    for (std::size_t c = 0; c < kClasses; ++c) {
      double bias = 0;
      for (std::size_t row = 0; row < kRows; ++row) bias += head.gradient[row * kClasses + c];
      EXPECT_NEAR(bias, head.slope(&Example::bias, c), 1e-8) << c;
      for (std::size_t k = 0; k < kIn; ++k) {
        double weight = 0;
        for (std::size_t row = 0; row < kRows; ++row) {
          weight += head.gradient[row * kClasses + c] * head.before[row * kIn + k];
        }
        EXPECT_NEAR(weight, head.slope(&Example::weight, c * kIn + k), 1e-8) << c << " " << k;
      }
    }
  }
}

// The same values made twice: by one operation, and by those that it stands for.
struct BothWays {
  BothWays(const ActivationSpec& activation, bool with_bias, double smoothing) {
    v.x = graph.add_external("x", {kBatch, kIn}, DType::f32, false);
    v.weight = graph.add_parameter({.name = "weight", .shape = {kClasses, kIn}});
    if (with_bias) v.bias = graph.add_parameter({.name = "bias", .shape = {kClasses}});
    v.labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    v.gradient_activation = activation;
    add_outputs(v);
    graph.add(std::make_unique<LinearCrossEntropy>(v, smoothing));
    add_outputs(apart);
    ValueId logits = linear_product(graph, v.x, v.weight, "1");
    if (with_bias) logits = bias_add(graph, logits, v.bias, "1");
    graph.add(
        std::make_unique<SoftmaxCrossEntropy>(logits, v.labels, apart.result, kNoValue, smoothing));
    graph.add(std::make_unique<SoftmaxCrossEntropy>(logits, v.labels, CrossEntropy{},
                                                    apart.gradient, smoothing));
    const ValueId dx = graph.add_activation("dx", {kBatch, kIn});
    graph.add(std::make_unique<Gemm>(GemmForm::nn, apart.gradient, v.weight, dx));
    graph.add(std::make_unique<ActivationBackward>(dx, v.x, apart.data_gradient, activation));
  }

  void add_outputs(LinearCrossEntropyValues& values) {
    values.result = {graph.add_activation("loss", {kBatch}),
                     graph.add_activation("correct", {kBatch}, DType::u32)};
    values.gradient = graph.add_activation("gradient", {kBatch, kClasses});
    values.data_gradient = graph.add_activation("dx", {kBatch, kIn});
  }

  ParameterSet parameters;
  Graph graph{parameters};
  LinearCrossEntropyValues v, apart;
};

TEST(LinearCrossEntropyReference, IsThatOfTheOperationsApart) {
  PhiloxRng rng(6);
  for (const ActivationSpec& activation : kActivations) {
    for (const bool bias : {false, true}) {
      const double smoothing = bias ? 0 : 0.1;
      const BothWays both(activation, bias, smoothing);
      ReferenceMemory memory(both.graph, kRows);
      memory[both.v.x] = normal(kRows * kIn, rng);
      memory[both.v.weight] = normal(kClasses * kIn, rng);
      if (bias) memory[both.v.bias] = normal(kClasses, rng);
      memory[both.v.labels] = {1, 3, 0};
      run_reference(both.graph, memory);
      const auto expect_equal = [&memory](ValueId a, ValueId b) {
        for (std::size_t i = 0; i < memory[a].size(); ++i) {
          EXPECT_NEAR(memory[a][i], memory[b][i], 1e-14) << i;
        }
      };
      expect_equal(both.v.result.loss, both.apart.result.loss);
      expect_equal(both.v.result.correct, both.apart.result.correct);
      expect_equal(both.v.gradient, both.apart.gradient);
      expect_equal(both.v.data_gradient, both.apart.data_gradient);
    }
  }
}

}  // namespace
}  // namespace vktrain::testing
