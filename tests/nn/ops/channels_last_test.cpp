#include "nn/ops/channels_last.h"

#include "nn/ops/reshape.h"
#include "runtime/error.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

struct Image {
  std::int64_t channels, height, width;
};

class ChannelsLastTest : public OpTest {
 protected:
  static OpCase make_case(std::int64_t batch, const Image& image, std::uint64_t seed) {
    OpCase c;
    c.batch = batch;
    c.columns = image.channels * image.height * image.width;
    c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
    c.seed = seed;
    c.build = [image](Graph& graph, ValueId x) {
      x = reshape(graph, x, {kBatch, image.channels, image.height, image.width}, "image");
      return flatten_channels_last(graph, x, "op");
    };
    return c;
  }
};

TEST_F(ChannelsLastTest, MatchesReference) {
  std::uint64_t seed = 0;
  for (const Image& image : {Image{2, 1, 2},
                             {3, 1, 3},
                             {2, 3, 5},
                             {4, 4, 4},
                             {5, 2, 3},
                             {7, 7, 7},
                             {64, 3, 3},
                             {65, 1, 4},
                             {3, 28, 28}}) {
    for (const std::int64_t batch : {1, 3, 65}) check(make_case(batch, image, ++seed));
  }
}

TEST_F(ChannelsLastTest, Gradients) { check_gradients(make_case(3, {3, 2, 5}, 1)); }

// One dispatch in each direction, and none where the order does not matter.
TEST_F(ChannelsLastTest, MovesNothingWithOneChannelOrOnePixel) {
  const auto operations = [](const Image& image) {
    const OpGraph ops(make_case(2, image, 1));
    std::size_t result = 0;
    for (const auto& operation : ops.graph.operations()) {
      result += operation->kind() == "channels_last" ? 1 : 0;
    }
    return result;
  };
  EXPECT_EQ(operations({2, 2, 2}), 2u);
  EXPECT_EQ(operations({1, 4, 4}), 0u);
  EXPECT_EQ(operations({16, 1, 1}), 0u);
  check(make_case(5, {1, 3, 3}, 1));
}

// Element (h, w, c) of an image whose values name their place, as Keras numbers it.
TEST_F(ChannelsLastTest, ChannelsAreFastest) {
  constexpr Image kImage = {3, 2, 2};
  OpCase c = make_case(1, kImage, 1);
  c.fill = [](const Value& value, std::size_t count, std::uint32_t,
              PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name == "pre.bias") return std::vector<std::uint32_t>(count, 0);
    if (value.name != "input") return std::nullopt;
    std::vector<float> values;
    for (const int channel : {1, 2, 3}) {
      for (const int pixel : {11, 12, 21, 22}) {
        values.push_back(static_cast<float>(100 * channel + pixel));
      }
    }
    return words_of(values);
  };
  const OpGraph ops(c);
  OpRun run(device(), ops, 1, 1);
  run.run();
  EXPECT_EQ(run.floats(ops.y, 0), (std::vector<float>{111, 211, 311, 112, 212, 312,  //
                                                      121, 221, 321, 122, 222, 322}));
}

TEST(ChannelsLastShape, RefusesOtherRanks) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 3, 4}, DType::f32, false);
  try {
    flatten_channels_last(graph, x, "5");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[channels_last] 5: expected an input of shape [batch, channels, height, width], "
                 "found [batch, 3, 4]; put it before the first linear or flatten layer");
  }
}

}  // namespace
}  // namespace vktrain::testing
