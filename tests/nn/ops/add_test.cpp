#include "nn/ops/add.h"

#include "nn/fusion.h"
#include "nn/ops/activation.h"
#include "runtime/error.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class AddTest : public OpTest {
 protected:
  // relu(x) + 2 x, with 2 x as x + x: a skip connection, and one value on both sides.
  static OpCase make_case(std::int64_t batch, std::int64_t columns, std::uint64_t seed) {
    OpCase c;
    c.batch = batch;
    c.columns = columns;
    c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
    c.seed = seed;
    c.build = [](Graph& graph, ValueId x) {
      const ValueId t = activation(graph, x, {Activation::relu}, "branch");
      return add(graph, t, add(graph, x, x, "twice"), "op");
    };
    return c;
  }
};

TEST_F(AddTest, MatchesReference) {
  std::uint64_t seed = 0;
  for (const auto& [batch, columns] : odd_shapes(20, 7)) check(make_case(batch, columns, ++seed));
}

// A residual block's end: the activation of the sum, in one kernel.
TEST_F(AddTest, ActivationsInItMatchReference) {
  std::uint64_t seed = 30;
  for (const Activation kind : {Activation::relu, Activation::tanh, Activation::sigmoid,
                                Activation::elu, Activation::leaky_relu}) {
    OpCase c = make_case(33, 7, ++seed);
    c.build = [kind, sum = c.build](Graph& graph, ValueId x) {
      return activation(graph, sum(graph, x), {kind, 0.5f}, "behind");
    };
    c.rewrite = [](Graph& graph) {
      fuse(graph);
      for (const auto& operation : graph.operations()) {
        EXPECT_FALSE(operation->kind() == "activation_forward" && operation->label == "behind");
      }
    };
    check(c);
  }
}

// Their derivatives read the sum: it stays apart where there are gradients.
TEST_F(AddTest, GeluAndSiluInItMatchReference) {
  std::uint64_t seed = 50;
  for (const Activation kind : {Activation::gelu, Activation::silu}) {
    OpCase c = make_case(33, 7, ++seed);
    c.build = nullptr;
    c.build_whole = [kind](Graph& graph) {
      const ValueId a = graph.add_external("a", {kBatch, 7}, DType::f32, false);
      const ValueId b = graph.add_external("b", {kBatch, 7}, DType::f32, false);
      graph.keep(activation(graph, add(graph, a, b, "op"), {kind}, "behind"));
    };
    c.rewrite = [](Graph& graph) {
      fuse(graph);
      EXPECT_EQ(graph.operations().size(), 1u);
    };
    check(c);
  }
}

TEST_F(AddTest, GradientsOfValuesWithSeveralUsesAddUp) { check_gradients(make_case(3, 6, 1)); }

TEST(AddShape, RefusesDifferentShapes) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId a = graph.add_external("a", {kBatch, 3}, DType::f32, false);
  const ValueId b = graph.add_external("b", {kBatch, 4}, DType::f32, false);
  try {
    add(graph, a, b, "skip");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[add] skip: expected two values of one shape, found [batch, 3] and [batch, 4]");
  }
}

}  // namespace
}  // namespace vktrain::testing
