#include "nn/ops/activation.h"

#include <algorithm>
#include <cmath>

#include "nn/reference/activation.h"
#include "runtime/error.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class ActivationTest : public OpTest {
 protected:
  // Inputs of all magnitudes from 1e-6 to 100, where cancellation and overflow would show.
  static std::optional<std::vector<std::uint32_t>> fill(const Value& value, std::size_t count,
                                                        std::uint32_t, PhiloxRng& rng) {
    if (value.name == "pre.bias") return std::vector<std::uint32_t>(count, 0);
    if (value.name != "input") return std::nullopt;
    std::vector<float> values(count);
    for (float& v : values) {
      v = static_cast<float>(rng.normal() * std::pow(10.0, rng.uniform(-6, 2)));
    }
    return words_of(values);
  }

  static OpCase make_case(const ActivationSpec& spec, std::int64_t batch, std::int64_t columns,
                          std::uint64_t seed) {
    return {.batch = batch,
            .columns = columns,
            .seed = seed,
            .build = [spec](Graph& graph, ValueId x) { return activation(graph, x, spec, "op"); },
            .fill = fill,
            .tolerance = nullptr,
            .ignore = nullptr};
  }

  void check_shapes(const ActivationSpec& spec) {
    std::uint64_t seed = static_cast<std::uint64_t>(spec.kind) * 100;
    for (const auto& [batch, columns] : odd_shapes(20, seed)) {
      check(make_case(spec, batch, columns, ++seed));
    }
    OpCase gradients = make_case(spec, 5, 7, ++seed);
    gradients.fill = nullptr;  // tiny inputs would step over the kink at 0
    check_gradients(gradients);
  }
};

TEST_F(ActivationTest, Relu) { check_shapes({Activation::relu}); }
TEST_F(ActivationTest, Tanh) { check_shapes({Activation::tanh}); }
TEST_F(ActivationTest, Sigmoid) { check_shapes({Activation::sigmoid}); }
TEST_F(ActivationTest, Elu) { check_shapes({Activation::elu}); }
TEST_F(ActivationTest, EluWithAlpha) { check_shapes({Activation::elu, 0.3f}); }
TEST_F(ActivationTest, LeakyRelu) { check_shapes({Activation::leaky_relu, 0.01f}); }
TEST_F(ActivationTest, LeakyReluSteeperBelow) { check_shapes({Activation::leaky_relu, 1.5f}); }
TEST_F(ActivationTest, Gelu) { check_shapes({Activation::gelu}); }
TEST_F(ActivationTest, Silu) { check_shapes({Activation::silu}); }

// In steps of 1/64 from -16 to 16: both sides of the seams between series, fit and tail, held to
// what a float erf of PyTorch leaves: some roundings of 1.
TEST_F(ActivationTest, GeluAndSiluOverTheWholeRange) {
  for (const Activation kind : {Activation::gelu, Activation::silu}) {
    OpCase c = make_case({kind}, 1, 2048, 3);
    c.fill = [](const Value& value, std::size_t count, std::uint32_t,
                PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
      if (value.name == "pre.bias") return std::vector<std::uint32_t>(count, 0);
      std::vector<float> values(count);
      for (std::size_t i = 0; i < count; ++i) {
        values[i] = value.name == "input" ? static_cast<float>(i) / 64 - 16 : 1.0f;
      }
      return words_of(values);
    };
    c.tolerance = [](const Operation& operation, ValueId,
                     const ReferenceMemory&) -> std::optional<Tolerance> {
      if (!operation.kind().starts_with("activation")) return std::nullopt;
      return Tolerance{.relative = 3, .absolute = 3};
    };
    check(c);
  }
}

TEST_F(ActivationTest, ExtremeInputsStayFinite) {
  for (Activation kind : {Activation::relu, Activation::tanh, Activation::sigmoid, Activation::elu,
                          Activation::leaky_relu, Activation::gelu, Activation::silu}) {
    OpCase c = make_case({kind}, 2, 4, 1);
    c.fill = [](const Value& value, std::size_t count, std::uint32_t,
                PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
      if (value.name == "pre.bias") return std::vector<std::uint32_t>(count, 0);
      if (value.name != "input") return std::nullopt;
      return words_of({-1e30f, -1000, -88, -0.0f, 0, 88, 1000, 1e30f});
    };
    check(c);
  }
}

// Values of the functions at 0.5 and -0.5 to nine digits.
TEST(ActivationReference, KnownValues) {
  EXPECT_NEAR(reference::activation({Activation::tanh}, 0.5), 0.462117157, 1e-9);
  EXPECT_NEAR(reference::activation({Activation::sigmoid}, 0.5), 0.622459331, 1e-9);
  EXPECT_NEAR(reference::activation({Activation::elu, 2}, -0.5), -0.786938681, 1e-9);
  EXPECT_NEAR(reference::activation({Activation::gelu}, 0.5), 0.345731231, 1e-9);
  EXPECT_NEAR(reference::activation({Activation::gelu}, -0.5), -0.154268769, 1e-9);
  EXPECT_NEAR(reference::activation({Activation::silu}, 0.5), 0.311229666, 1e-9);
  EXPECT_NEAR(reference::activation({Activation::leaky_relu, 0.25f}, -0.5), -0.125, 1e-9);
  EXPECT_EQ(reference::activation({Activation::relu}, -0.5), 0);
  EXPECT_EQ(reference::activation({Activation::relu}, 0.5), 0.5);
}

TEST(ActivationShape, NoneIsTheInput) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 3}, DType::f32, false);
  EXPECT_EQ(activation(graph, x, {Activation::none}, "1"), x);
  EXPECT_TRUE(graph.operations().empty());
}

TEST(ActivationShape, AlphaMustBePositive) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 3}, DType::f32, false);
  for (float alpha : {0.0f, -1.0f, std::nanf("")}) {
    EXPECT_THROW(activation(graph, x, {Activation::elu, alpha}, "1"), Error) << alpha;
    EXPECT_THROW(activation(graph, x, {Activation::leaky_relu, alpha}, "1"), Error) << alpha;
  }
  try {
    activation(graph, x, {Activation::leaky_relu, -0.5f}, "1");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[activation] 1: expected a positive alpha for leaky_relu, found -0.5");
  }
}

}  // namespace
}  // namespace vktrain::testing
