// Max pooling: random windows, the tiles of 2 x 2, ties.
#include "nn/ops/max_pool2d.h"

#include <algorithm>

#include "nn/ops/activation.h"
#include "tests/nn/ops/pool2d_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

ValueId pooling(Graph& graph, ValueId images, const Window2d& window) {
  return max_pool2d(graph, images, window, "op");
}

// Most inputs are equal, so that most windows have ties.
ValueId pooling_after_relu(Graph& graph, ValueId images, const Window2d& window) {
  return pooling(graph, activation(graph, images, {Activation::relu}, "relu"), window);
}

class MaxPool2dTest : public OpTest {
 protected:
  static OpCase make_case(const Pool2dCase& p, std::uint64_t seed) {
    return with_tolerance(pooling_case(p, seed, pooling));
  }

  // The maximum is exact. A gradient sums as many terms as windows cover an element.
  static OpCase with_tolerance(OpCase c) {
    c.tolerance = [](const Operation& operation, ValueId,
                     const ReferenceMemory& memory) -> std::optional<Tolerance> {
      if (operation.kind() == "max_pool2d") return Tolerance{.relative = 0};
      const auto* backward = dynamic_cast<const MaxPool2dBackward*>(&operation);
      if (backward == nullptr) return std::nullopt;
      return Tolerance{.relative = 1, .absolute = 25 * largest(memory[backward->dy()])};
    };
    return c;
  }

  // y, winners and dx of one image of one channel, dy given.
  struct Result {
    std::vector<float> y;
    std::vector<std::uint32_t> winners;
    std::vector<float> dx;
  };
  Result run_one(const Pool2dCase& p, const std::vector<float>& x, const std::vector<float>& dy) {
    OpCase c = make_case(p, 1);
    c.replicas = 1;
    c.fill = [&](const Value& value, std::size_t count, std::uint32_t,
                 PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
      if (value.name == "input") return words_of(x);
      if (value.name == "dz") return words_of(dy);
      return words_of(std::vector<float>(count, 0.0f));
    };
    const OpGraph ops(c);
    OpRun run(device(), ops, 1, 1);
    run.run();
    Result result{run.floats(ops.y, 0), {}, {}};
    for (const auto& operation : ops.graph.operations()) {
      if (const auto* backward = dynamic_cast<const MaxPool2dBackward*>(operation.get())) {
        result.winners = run.words(backward->winners(), 0);
        result.dx = run.floats(backward->dx(), 0);
      }
    }
    return result;
  }
};

TEST_F(MaxPool2dTest, MatchesReference) {
  PhiloxRng rng(7);
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    const Pool2dCase p = random_pool2d_case(rng, 3);
    SCOPED_TRACE(to_string(p));
    check(make_case(p, seed));
  }
}

// Of 2 x 2 with stride 2: whole tiles with planes of every remainder, and those that do not cover
// the input.
TEST_F(MaxPool2dTest, MatchesReferenceOnTiles) {
  const Pool2dCase cases[] = {{3, 2, {4, 4}}, {33, 3, {2, 8}}, {2, 2, {14, 14}},
                              {5, 1, {2, 2}}, {2, 1, {6, 2}},  {65, 4, {4, 2}},
                              {2, 3, {5, 8}}, {3, 4, {8, 7}},  {2, 8, {28, 28}}};
  std::uint64_t seed = 100;
  for (Pool2dCase p : cases) {
    p.window = {.kernel = {2, 2}, .stride = {2, 2}};
    SCOPED_TRACE(to_string(p));
    check(make_case(p, ++seed));
  }
}

TEST_F(MaxPool2dTest, MatchesReferenceWithOneWindowOverAll) {
  check(make_case({7, 3, {9, 11}, {.kernel = {9, 11}}}, 1));
}

TEST_F(MaxPool2dTest, MatchesReferenceWithTies) {
  PhiloxRng rng(11);
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Pool2dCase p = random_pool2d_case(rng, 2);
    if (seed >= 4) p = {9, 4, {6, 8}, {.kernel = {2, 2}, .stride = {2, 2}}};
    SCOPED_TRACE(to_string(p));
    check(with_tolerance(pooling_case(p, seed, pooling_after_relu)));
  }
}

TEST_F(MaxPool2dTest, Gradients) {
  PhiloxRng rng(13);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Pool2dCase p = random_pool2d_case(rng, 2);
    p.batch = 3;
    SCOPED_TRACE(to_string(p));
    check_gradients(make_case(p, seed));
  }
}

TEST_F(MaxPool2dTest, TiesGoToTheFirst) {
  const std::vector<float> x = {0, 5, 5,  0,  //
                                5, 0, 0,  5,  //
                                1, 1, -1, -1, 1, 1, -1, -1};
  const Result tiles =
      run_one({1, 1, {4, 4}, {.kernel = {2, 2}, .stride = {2, 2}}}, x, {1, 2, 3, 4});
  EXPECT_EQ(tiles.y, (std::vector<float>{5, 5, 1, -1}));
  EXPECT_EQ(tiles.winners, (std::vector<std::uint32_t>{1, 2, 8, 10}));
  EXPECT_EQ(tiles.dx, (std::vector<float>{0, 1, 2, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0}));
  const Result overlapping = run_one({1, 1, {4, 4}, {.kernel = {3, 3}}}, x, {1, 2, 3, 4});
  EXPECT_EQ(overlapping.y, (std::vector<float>{5, 5, 5, 5}));
  EXPECT_EQ(overlapping.winners, (std::vector<std::uint32_t>{1, 1, 4, 7}));
  EXPECT_EQ(overlapping.dx, (std::vector<float>{0, 3, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0}));
}

// Padding is not a zero that would win over negative numbers.
TEST_F(MaxPool2dTest, PaddingNeverWins) {
  const Window2d window{
      .kernel = {2, 2}, .stride = {2, 2}, .padding_begin = {1, 1}, .padding_end = {1, 1}};
  const Result result = run_one({1, 1, {2, 2}, window}, {-4, -3, -2, -1}, {1, 2, 3, 4});
  EXPECT_EQ(result.y, (std::vector<float>{-4, -3, -2, -1}));
  EXPECT_EQ(result.dx, (std::vector<float>{1, 2, 3, 4}));
}

TEST(MaxPool2dShape, RefusesWhatDoesNotFit) {
  EXPECT_EQ(pooling_error({kBatch, 100}, {.kernel = {2, 2}}, pooling),
            "[max_pool2d] op: expected an input of shape [batch, channels, height, width], found "
            "[batch, 100]; pooling goes before the layer that flattens");
  EXPECT_EQ(pooling_error({kBatch, 3, 4, 5}, {.kernel = {5, 2}}, pooling),
            "[max_pool2d] op: the window of 5 x 2 (kernel 5 x 2, dilation 1 x 1) is larger than "
            "its padded input of 4 x 5; expected a window that fits: make the kernel smaller or "
            "pad more");
  EXPECT_EQ(
      pooling_error({kBatch, 3, 4, 5}, {.kernel = {2, 2}, .padding_begin = {0, -1}}, pooling),
      "[max_pool2d] op: padding must not be negative, but it is 0 x -1 before and 0 x 0 after the "
      "input");
}

TEST(MaxPool2dShape, RefusesWindowsInThePaddingAlone) {
  EXPECT_EQ(
      pooling_error({kBatch, 3, 4, 5},
                    {.kernel = {2, 2}, .padding_begin = {0, 2}, .padding_end = {1, 0}}, pooling),
      "[max_pool2d] op: with padding of 0 x 2 and 1 x 0 around an input of 4 x 5, a window "
      "(kernel 2 x 2, dilation 1 x 1) would see nothing but padding; pad less than the "
      "kernel's size");
  const std::string at_the_end =
      pooling_error({kBatch, 3, 4, 5}, {.kernel = {2, 2}, .padding_end = {2, 0}}, pooling);
  EXPECT_NE(at_the_end.find("would see nothing but padding"), std::string::npos) << at_the_end;
  // The stride skips the window that would begin at row 4.
  EXPECT_EQ(pooling_error({kBatch, 3, 4, 5},
                          {.kernel = {2, 2}, .stride = {3, 1}, .padding_end = {2, 0}}, pooling),
            "");
  // Its two rows stand around the only row of the input.
  const std::string astride = pooling_error(
      {kBatch, 3, 1, 5},
      {.kernel = {2, 2}, .padding_begin = {1, 0}, .padding_end = {1, 0}, .dilation = {2, 1}},
      pooling);
  EXPECT_NE(astride.find("would see nothing but padding"), std::string::npos) << astride;
}

}  // namespace
}  // namespace vktrain::testing
