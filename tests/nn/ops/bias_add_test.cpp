#include "nn/ops/bias_add.h"

#include "nn/ops/activation.h"
#include "tests/nn/ops/image_case.h"
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
    c.build = [columns](Graph& graph, ValueId x) { return build(graph, x, columns); };
    return c;
  }

  static OpCase make_case(const ImageShape& image, std::uint64_t seed) {
    return image_case(image, seed, [channels = image.channels](Graph& graph, ValueId x) {
      return build(graph, x, channels);
    });
  }

 private:
  static ValueId build(Graph& graph, ValueId x, std::int64_t channels) {
    const ValueId bias = graph.add_parameter(
        {.name = "op.bias", .shape = {channels}, .fan_in = channels, .fan_out = channels});
    return bias_add(graph, activation(graph, x, {Activation::relu}, "relu"), bias, "op");
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

TEST_F(BiasAddTest, MatchesReferenceForImages) {
  std::uint64_t seed = 200;
  for (const ImageShape& image : odd_images(30, 41)) check(make_case(image, ++seed));
}

// Several workgroups of columns and chunks of rows.
TEST_F(BiasAddTest, ManyColumnsAndChunksOfImages) {
  check(make_case({200, 6, 14, 14}, 251));
  check(make_case({150, 20, 7, 7}, 252));
  check(make_case({1025, 3, 3, 3}, 253));
}

// Ones add up exactly: 3 * 5 * 7 of them.
TEST_F(BiasAddTest, GradientOfImagesCountsEveryPosition) {
  OpCase c = make_case({3, 2, 5, 7}, 1);
  c.replicas = 1;
  c.fill = [](const Value& value, std::size_t count, std::uint32_t,
              PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name != "dz") return std::nullopt;
    return words_of(std::vector<float>(count, 1));
  };
  const OpGraph ops(c);
  OpRun run(device(), ops, c.batch, 1);
  run.run();
  for (const auto& operation : ops.graph.operations()) {
    if (operation->kind() != "channel_sum") continue;
    EXPECT_EQ(run.floats(operation->outputs()[0], 0), (std::vector<float>{105, 105}));
    return;
  }
  FAIL() << "the gradient of the bias is no channel_sum";
}

TEST_F(BiasAddTest, Gradients) {
  check_gradients(make_case(6, 5, 1));
  check_gradients(make_case({3, 4, 3, 2}, 2));
}

TEST(BiasAddShape, RefusesOtherShapes) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId bias = graph.add_parameter({.name = "1.bias", .shape = {128}});
  const ValueId weight = graph.add_parameter({.name = "1.weight", .shape = {100, 100}});
  const auto error = [&](const Shape& shape, ValueId operand) {
    const ValueId x = graph.add_external("x", shape, DType::f32, false);
    return error_of([&] { bias_add(graph, x, operand, "1"); });
  };
  EXPECT_EQ(error({kBatch, 100}, bias),
            "[bias_add] 1: expected input of shape [batch, 128], found [batch, 100]");
  EXPECT_EQ(error({kBatch, 128, 5}, bias),
            "[bias_add] 1: expected input of shape [batch, 128], found [batch, 128, 5]");
  EXPECT_EQ(error({kBatch, 3, 8, 8}, bias),
            "[bias_add] 1: expected input of shape [batch, 128, height, width], found [batch, 3, "
            "8, 8]");
  EXPECT_EQ(error({kBatch, 100}, weight),
            "[bias_add] 1: expected a bias of shape [channels], found [100, 100]");
}

}  // namespace
}  // namespace vktrain::testing
