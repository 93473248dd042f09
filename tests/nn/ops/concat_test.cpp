#include "nn/ops/concat.h"

#include <set>

#include "nn/ops/activation.h"
#include "nn/ops/reshape.h"
#include "runtime/error.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class ConcatTest : public OpTest {
 protected:
  static OpCase base_case(std::int64_t batch, std::int64_t columns, std::uint64_t seed) {
    OpCase c;
    c.batch = batch;
    c.columns = columns;
    c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
    c.seed = seed;
    return c;
  }

  // x between two values of other widths: its place in the result begins at `before` and, with
  // odd widths, no part is aligned.
  static OpCase make_case(std::int64_t batch, std::int64_t columns, std::int64_t before,
                          std::int64_t after, std::uint64_t seed) {
    OpCase c = base_case(batch, columns, seed);
    c.build = [=](Graph& graph, ValueId x) {
      const auto other = [&](const char* name, std::int64_t width) {
        return graph.add_external(name, {kBatch, width}, DType::f32, false);
      };
      const ValueId first = other("first", before), last = other("last", after);
      const ValueId t = activation(graph, x, {Activation::tanh}, "between");
      return concat(graph, std::vector{first, t, last}, "op");
    };
    return c;
  }
};

TEST_F(ConcatTest, MatchesReference) {
  constexpr std::int64_t kWidths[] = {1, 3, 4, 5, 8, 63, 64, 65};
  PhiloxRng rng(3);
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const auto width = [&] { return kWidths[rng.below(std::size(kWidths))]; };
    const std::int64_t batch = width(), columns = width(), before = width(), after = width();
    SCOPED_TRACE(::testing::Message() << before << ", " << columns << ", " << after);
    check(make_case(batch, columns, before, after, seed));
    if (HasFailure()) break;
  }
}

TEST_F(ConcatTest, Gradients) { check_gradients(make_case(3, 5, 2, 3, 1)); }

// [x, x, tanh x]: the gradients of all places add up.
OpCase same_value_twice(OpCase c) {
  c.build = [](Graph& graph, ValueId x) {
    const ValueId t = activation(graph, x, {Activation::tanh}, "branch");
    return concat(graph, std::vector{x, x, t}, "op");
  };
  return c;
}

TEST_F(ConcatTest, TheSameValueTwice) {
  for (const auto& [batch, columns] : odd_shapes(10, 5)) {
    check(same_value_twice(base_case(batch, columns, 2)));
  }
  check_gradients(same_value_twice(base_case(3, 5, 1)));
}

// Channels of images: planes one after the other.
TEST_F(ConcatTest, Images) {
  for (const auto& [height, width] : {std::pair<std::int64_t, std::int64_t>{3, 5}, {4, 4}}) {
    OpCase c = base_case(7, 6 * height * width, 2);
    c.build = [height = height, width = width](Graph& graph, ValueId x) {
      const ValueId image = reshape(graph, x, {kBatch, 6, height, width}, "image");
      const ValueId t = activation(graph, image, {Activation::tanh}, "branch");
      const ValueId y = concat(graph, std::vector{image, t}, "op");
      EXPECT_EQ(graph.value(y).shape, (Shape{kBatch, 12, height, width}));
      return y;
    };
    check(c);
    check_gradients(c);
  }
}

TEST_F(ConcatTest, MovesWholeVectorsWhereBothSidesAreAligned) {
  const auto variants = [&](std::int64_t columns, std::int64_t before) {
    const OpGraph ops(make_case(4, columns, before, 4, 1));
    const OpRun run(device(), ops, 4, 1);
    std::set<std::vector<std::uint32_t>> constants;
    for (const PlannedOperation& operation : run.plan().operations()) {
      for (const PlannedDispatch& dispatch : operation.dispatches) {
        if (dispatch.shader == "concat_copy") constants.insert(dispatch.constants);
      }
    }
    return constants;
  };
  using Variants = std::set<std::vector<std::uint32_t>>;
  EXPECT_EQ(variants(8, 4), (Variants{{64, 1, 1}}));
  EXPECT_EQ(variants(8, 3), (Variants{{64, 0, 1}, {64, 1, 0}}));
}

class ConcatShape : public ::testing::Test {
 protected:
  ValueId value(const Shape& shape) { return graph_.add_external("x", shape, DType::f32, false); }

  void expect_message(const std::vector<ValueId>& inputs, const char* message) {
    try {
      concat(graph_, inputs, "skip");
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), message);
    }
  }

  ParameterSet parameters_;
  Graph graph_{parameters_};
};

TEST_F(ConcatShape, RefusesInputsThatDifferElsewhere) {
  const ValueId image = value({kBatch, 3, 4, 4});
  expect_message({image, image, value({kBatch, 8, 4, 5})},
                 "[concat] skip: expected inputs that differ in dimension 1 alone, the channels, "
                 "found [batch, 3, 4, 4] and [batch, 8, 4, 5]");
  expect_message({image, value({kBatch, 48})},
                 "[concat] skip: expected inputs that differ in dimension 1 alone, the channels, "
                 "found [batch, 3, 4, 4] and [batch, 48]");
}

TEST_F(ConcatShape, RefusesFewerThanTwo) {
  expect_message({value({kBatch, 3})},
                 "[concat] skip: expected at least two inputs, found 1; remove the layer or name "
                 "more inputs");
}

}  // namespace
}  // namespace vktrain::testing
