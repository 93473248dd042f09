#include "nn/ops/bias_add.h"

#include "nn/ops/activation.h"
#include "runtime/error.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class BiasAddTest : public OpTest {
 protected:
  // relu(x) + bias, so that another operation stands on either side.
  static OpCase make_case(std::int64_t batch, std::int64_t columns, std::uint64_t seed) {
    OpCase c;
    c.batch = batch;
    c.columns = columns;
    c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
    c.seed = seed;
    c.build = [columns](Graph& graph, ValueId x) {
      const ValueId bias = graph.add_parameter(
          {.name = "op.bias", .shape = {columns}, .fan_in = columns, .fan_out = columns});
      return bias_add(graph, activation(graph, x, {Activation::relu}, "relu"), bias, "op");
    };
    return c;
  }
};

TEST_F(BiasAddTest, MatchesReference) {
  std::uint64_t seed = 0;
  for (const auto& [batch, columns] : odd_shapes(22, 11)) check(make_case(batch, columns, ++seed));
}

// More than 1024 rows are summed in two passes over chunks of 512.
TEST_F(BiasAddTest, LargeBatchesAreSummedInTwoPasses) {
  std::uint64_t seed = 100;
  for (std::int64_t batch : {1023, 1024, 1025, 1536, 1537, 5000}) {
    for (std::int64_t columns : {1, 10, 67}) check(make_case(batch, columns, ++seed));
  }
}

TEST_F(BiasAddTest, DispatchesOfTheColumnSum) {
  const OpGraph ops(make_case(2, 10, 1));
  const ParameterLayout layout(ops.parameters);
  for (const auto& [batch, dispatches] : {std::pair{1024, 1}, std::pair{1025, 2}}) {
    for (const auto& operation : ops.graph.operations()) {
      if (operation->kind() != "column_sum") continue;
      Lowering lowering(ops.graph, layout, device().profile(), batch, 1);
      operation->lower(lowering);
      EXPECT_EQ(lowering.take_dispatches().size(), static_cast<std::size_t>(dispatches)) << batch;
    }
  }
}

TEST_F(BiasAddTest, Gradients) { check_gradients(make_case(6, 5, 1)); }

TEST(BiasAddShape, RefusesOtherShapes) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 100}, DType::f32, false);
  const ValueId bias = graph.add_parameter({.name = "1.bias", .shape = {128}});
  const ValueId weight = graph.add_parameter({.name = "1.weight", .shape = {100, 100}});
  try {
    bias_add(graph, x, bias, "1");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[bias_add] 1: expected input of shape [batch, 128], found [batch, 100]");
  }
  EXPECT_THROW(bias_add(graph, x, weight, "1"), Error);
}

}  // namespace
}  // namespace vktrain::testing
