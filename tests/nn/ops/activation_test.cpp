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

  // Vulkan grants exp an error of 3 + 2 |x| units; tanh and elu need it for |x| around 1 only,
  // where e^x still counts, sigmoid over the whole range. 1 - y^2 and y (1 - y) cancel: an error of
  // a rounding of 1 (or y) times the gradient.
  static std::optional<Tolerance> tolerance(const Operation& operation, ValueId,
                                            const ReferenceMemory& memory) {
    if (const auto* forward = dynamic_cast<const ActivationForward*>(&operation)) {
      const bool sigmoid = forward->activation().kind == Activation::sigmoid;
      const double range = sigmoid ? std::min(largest(memory[forward->x()]), 88.0) : 4;
      return Tolerance{.relative = 8 + 2 * range};
    }
    const auto* backward = dynamic_cast<const ActivationBackward*>(&operation);
    if (!backward) return std::nullopt;
    return Tolerance{.relative = 4, .absolute = largest(memory[backward->dy()])};
  }

  static OpCase make_case(const ActivationSpec& spec, std::int64_t batch, std::int64_t columns,
                          std::uint64_t seed) {
    return {.batch = batch,
            .columns = columns,
            .seed = seed,
            .build = [spec](Graph& graph, ValueId x) { return activation(graph, x, spec, "op"); },
            .fill = fill,
            .tolerance = tolerance,
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

TEST_F(ActivationTest, ExtremeInputsStayFinite) {
  for (Activation kind :
       {Activation::relu, Activation::tanh, Activation::sigmoid, Activation::elu}) {
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

TEST(ActivationShape, EluRefusesAlphaThatIsNotPositive) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 3}, DType::f32, false);
  for (float alpha : {0.0f, -1.0f, std::nanf("")}) {
    EXPECT_THROW(activation(graph, x, {Activation::elu, alpha}, "1"), Error) << alpha;
  }
}

}  // namespace
}  // namespace vktrain::testing
