// Forms of the rows kernels that only some sizes get: rows of the source held for several tiles of
// channels, and turns of two rows in the weight gradient.
#include <fmt/format.h>

#include "nn/layers/conv2d.h"
#include "nn/ops/conv2d_variants.h"
#include "tests/nn/ops/conv2d_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// Numbers of the specialization constants in shaders/conv2d_rows*.comp.
constexpr std::size_t kDataGradient = 12, kItems = 23, kChannelTurns = 24;

struct RowsCase {
  ConvCase conv;
  bool holds;           // the forward pass, its rows
  std::uint32_t items;  // of a turn of the weight gradient
};

std::vector<RowsCase> cases() {
  const Size2d one = {1, 1}, two = {2, 2}, none = {0, 0};
  const Window2d same = {{3, 3}, one, one, one, one};
  return {
      // Channels and rows that pairs and splits do not divide.
      {{33, 1, {28, 28}, 7, {same, 1}}, true, 2},
      {{40, 2, {9, 13}, 5, {{{3, 3}, two, one, one, one}, 1}}, true, 1},
      {{43, 1, {4, 70}, 6, {{{2, 5}, one, {0, 3}, {1, 1}, {1, 2}}, 1}}, true, 2},
      {{64, 4, {10, 11}, 6, {same, 2}}, true, 1},
      {{50, 1, {16, 16}, 9, {{{5, 5}, one, two, two, one}, 1}}, true, 1},
      {{40, 8, {6, 6}, 3, {{one, one, none, none, one}, 1}}, true, 1},
      {{40, 4, {6, 6}, 3, {{one, one, none, none, one}, 1}}, true, 2},
      // A turn of rows of two images; splits that would begin at odd rows.
      {{40, 1, {7, 9}, 9, {same, 1}}, true, 2},
      {{86, 1, {6, 6}, 5, {same, 1}}, true, 2},
      // More turns than workgroups want: channels in several of these.
      {{5, 1, {12, 12}, 40, {same, 1}}, true, 2},
      // An odd number of rows; nine rows of the source; a single workgroup.
      {{33, 1, {7, 9}, 9, {same, 1}}, true, 1},
      {{33, 3, {8, 8}, 7, {same, 1}}, false, 1},
      {{1, 1, {8, 8}, 4, {same, 1}}, false, 2},
  };
}

std::vector<std::uint32_t> constants_of(const Plan& plan, std::string_view shader,
                                        bool data_gradient) {
  for (const PlannedOperation& operation : plan.operations()) {
    for (const PlannedDispatch& d : operation.dispatches) {
      if (d.shader != shader) continue;
      if (shader == "conv2d_rows" && (d.constants[kDataGradient] != 0) != data_gradient) continue;
      return d.constants;
    }
  }
  ADD_FAILURE() << "no dispatch of " << shader;
  return std::vector<std::uint32_t>(kChannelTurns + 1);
}

class Conv2dRowsTest : public OpTest {
 protected:
  void SetUp() override {
    OpTest::SetUp();
    if (!conv2d_rows::supports({}, device().profile()) ||
        device().profile().kind != runtime::DeviceKind::cpu) {
      GTEST_SKIP() << "this device is not given the rows kernels";
    }
  }
};

TEST_F(Conv2dRowsTest, FormsMatchReference) {
  std::uint64_t seed = 700;
  for (const RowsCase& c : cases()) {
    SCOPED_TRACE(to_string(c.conv));
    ++seed;
    check(network(c.conv, {seed % 2 ? Activation::tanh : Activation::none}, seed));
    if (HasFailure()) break;
  }
}

TEST_F(Conv2dRowsTest, SizesGetTheirForms) {
  for (const RowsCase& c : cases()) {
    SCOPED_TRACE(to_string(c.conv));
    const OpGraph ops(network(c.conv, {Activation::relu}, 1));
    const OpRun run(device(), ops, c.conv.batch, 1);
    const Plan& plan = run.plan();
    EXPECT_EQ(constants_of(plan, "conv2d_rows", false)[kChannelTurns] > 1, c.holds);
    EXPECT_EQ(constants_of(plan, "conv2d_rows", true)[kChannelTurns], 1u);
    EXPECT_EQ(constants_of(plan, "conv2d_rows_weight_gradient", false)[kItems], c.items);
  }
}

}  // namespace
}  // namespace vktrain::testing
