// Average pooling: random windows with both divisors, Keras's "same" padding, whole planes.
#include "nn/ops/avg_pool2d.h"

#include "tests/nn/ops/pool2d_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

Pooling pooling(bool count_include_pad) {
  return [=](Graph& graph, ValueId images, const Window2d& window) {
    return avg_pool2d(graph, images, window, count_include_pad, "op");
  };
}

ValueId global_pooling(Graph& graph, ValueId images, const Window2d&) {
  return global_avg_pool2d(graph, images, "op");
}

class AvgPool2dTest : public OpTest {
 protected:
  static OpCase make_case(const Pool2dCase& p, std::uint64_t seed, const Pooling& pooling) {
    return pooling_case(p, seed, pooling);
  }

  std::vector<float> output(const Pool2dCase& p, const Pooling& pooling,
                            const std::vector<float>& x) {
    OpCase c = pooling_case(p, 1, pooling);
    c.replicas = 1;
    c.fill = [&](const Value& value, std::size_t count, std::uint32_t,
                 PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
      return words_of(value.name == "input" ? x : std::vector<float>(count, 0.0f));
    };
    const OpGraph ops(c);
    OpRun run(device(), ops, p.batch, 1);
    run.run();
    return run.floats(ops.y, 0);
  }
};

TEST_F(AvgPool2dTest, MatchesReference) {
  PhiloxRng rng(17);
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    const Pool2dCase p = random_pool2d_case(rng, 1);
    SCOPED_TRACE(to_string(p));
    check(make_case(p, seed, pooling(seed % 2 == 0)));
  }
}

TEST_F(AvgPool2dTest, MatchesReferenceWithSamePadding) {
  const Pool2dCase cases[] = {{3, 2, {7, 7}, {.kernel = {2, 2}, .stride = {2, 2}}},
                              {5, 3, {6, 9}, {.kernel = {3, 4}, .stride = {2, 1}}},
                              {2, 8, {28, 28}, {.kernel = {2, 2}, .stride = {2, 2}}}};
  std::uint64_t seed = 200;
  for (Pool2dCase p : cases) {
    pad_same(p.window, p.input);
    SCOPED_TRACE(to_string(p));
    check(make_case(p, ++seed, pooling(false)));
  }
}

TEST_F(AvgPool2dTest, WholePlanesMatchReference) {
  const Pool2dCase cases[] = {{33, 5, {7, 7}}, {1, 1, {1, 1}}, {4, 10, {3, 5}}, {2, 4, {28, 28}}};
  std::uint64_t seed = 300;
  for (const Pool2dCase& p : cases) {
    SCOPED_TRACE(to_string(p));
    check(make_case(p, ++seed, global_pooling));
  }
}

TEST_F(AvgPool2dTest, Gradients) {
  PhiloxRng rng(19);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Pool2dCase p = random_pool2d_case(rng, 1);
    p.batch = 3;
    SCOPED_TRACE(to_string(p));
    check_gradients(make_case(p, seed, pooling(seed % 2 == 0)));
  }
  check_gradients(make_case({3, 2, {3, 5}}, 5, global_pooling));
}

// Keras pads an odd zero at the end and leaves it out of the mean; PyTorch's default counts it.
TEST_F(AvgPool2dTest, CountsThePaddingWhenAsked) {
  Pool2dCase p{1, 1, {3, 3}, {.kernel = {2, 2}, .stride = {2, 2}}};
  pad_same(p.window, p.input);
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_EQ(output(p, pooling(false), x), (std::vector<float>{3, 4.5, 7.5, 9}));
  EXPECT_EQ(output(p, pooling(true), x), (std::vector<float>{3, 2.25, 3.75, 2.25}));
}

TEST_F(AvgPool2dTest, WholePlanesHaveTwoDimensions) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 3, 4, 5}, DType::f32, false);
  EXPECT_EQ(graph.value(global_avg_pool2d(graph, x, "op")).shape, (Shape{kBatch, 3}));
}

TEST(AvgPool2dShape, RefusesWhatDoesNotFit) {
  EXPECT_EQ(pooling_error({kBatch, 100}, {.kernel = {2, 2}}, pooling(true)),
            "[avg_pool2d] op: expected an input of shape [batch, channels, height, width], found "
            "[batch, 100]; pooling goes before the layer that flattens");
  EXPECT_EQ(pooling_error({kBatch, 100}, {}, global_pooling),
            "[global_avg_pool2d] op: expected an input of shape [batch, channels, height, width], "
            "found [batch, 100]; pooling goes before the layer that flattens");
  EXPECT_EQ(pooling_error({kBatch, 3, 4, 5}, {.kernel = {2, 6}}, pooling(false)),
            "[avg_pool2d] op: the window of 2 x 6 (kernel 2 x 6, dilation 1 x 1) is larger than "
            "its padded input of 4 x 5; expected a window that fits: make the kernel smaller or "
            "pad more");
  EXPECT_EQ(pooling_error({kBatch, 3, 4, 5}, {.kernel = {2, 2}, .dilation = {1, 2}}, pooling(true)),
            "[avg_pool2d] op: expected a dilation of 1 x 1, found 1 x 2; only convolution and max "
            "pooling can be dilated");
  EXPECT_EQ(
      pooling_error({kBatch, 3, 4, 5}, {.kernel = {2, 2}, .padding_end = {2, 0}}, pooling(false)),
      "[avg_pool2d] op: with padding of 0 x 0 and 2 x 0 around an input of 4 x 5, a window "
      "(kernel 2 x 2, dilation 1 x 1) would see nothing but padding; pad less than the "
      "kernel's size");
}

}  // namespace
}  // namespace vktrain::testing
