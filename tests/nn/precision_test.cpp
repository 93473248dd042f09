// Mixed precision: rounding to half floats on the host and in kernels, and trainings with it.
#include "nn/precision.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "nn/reference/half.h"
#include "nn/tuning/single_operation.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Rounding {
  double value, half;
};

// IEEE 754 binary16: 10 fraction bits, exponents -14 to 15, subnormals down to 2^-24.
const std::vector<Rounding> kRoundings = {
    {0, 0},
    {1, 1},
    {1 + 0x1p-11, 1},                // a tie goes to the even neighbour
    {1 + 3 * 0x1p-11, 1 + 0x1p-9},   // up here
    {1 + 0x1.002p-11, 1 + 0x1p-10},  // just past a tie
    {-3.14159265, -3.140625},
    {2047.5, 2048},
    {65504, 65504},
    {65519, 65504},
    {65520, 65504},  // would be infinity in IEEE 754
    {1e30, 65504},
    {-3.4e38, -65504},
    {0x1p-14, 0x1p-14},
    {0x1.ff8p-15, 0x1.ff8p-15},  // the largest subnormal
    {0x1.ffffp-15, 0x1p-14},
    {3 * 0x1p-25, 0x1p-23},  // ties between subnormals
    {5 * 0x1p-25, 0x1p-23},
    {0x1p-25, 0},
    {0x1.8p-25, 0x1p-24},
    {1e-30, 0},
    {kInfinity, kInfinity},
    {-kInfinity, -kInfinity},
};

TEST(Half, RoundsAsIeee754Does) {
  for (const auto& [value, half] : kRoundings) EXPECT_EQ(reference::to_half(value), half) << value;
  EXPECT_TRUE(std::isnan(reference::to_half(std::nan(""))));
}

TEST(Half, ScalesAreTakenOutAgain) {
  const std::vector<double> values = {1e-6, 1.0 / 3};
  const std::vector<double> plain = reference::half_operand(values, 1);
  const std::vector<double> scaled = reference::half_operand(values, 1024);
  EXPECT_GT(std::abs(plain[0] - values[0]), 1e-8);    // 17 units of a subnormal number
  EXPECT_LT(std::abs(scaled[0] - values[0]), 5e-10);  // 11 digits
  EXPECT_EQ(plain[1], scaled[1]);
}

TEST(LossScale, IsAPowerOfTwoThatGrowsWithTheBatch) {
  EXPECT_EQ(loss_scale(1), 16);
  EXPECT_EQ(loss_scale(64), 1024);
  EXPECT_EQ(loss_scale(65), 2048);
  EXPECT_EQ(loss_scale(16384), 262144);
}

class PrecisionTest : public DeviceTest {};

// Products with 1, so that results are the rounded operands themselves.
TEST_F(PrecisionTest, KernelsRoundEveryKindOfNumber) {
  const auto count = static_cast<std::int64_t>(kRoundings.size());
  for (const runtime::DeviceKind kind : {runtime::DeviceKind::cpu, runtime::DeviceKind::discrete}) {
    const auto single = single_gemm({GemmForm::nt, count, 1, 1, Precision::mixed});
    ParameterStorage storage(device(), single->parameters, 1, 0);
    PlanOptions options;
    options.plan_for = device().profile();
    options.plan_for->kind = kind;
    Executable executable(device(), single->graph, storage, options);
    std::vector<float> values;
    for (const Rounding& rounding : kRoundings)
      values.push_back(static_cast<float>(rounding.value));
    executable.write(single->operands[0], values, 0);
    executable.write(single->operands[1], std::vector<float>{1}, 0);
    executable.run();
    const std::vector<float> found = executable.read(single->result);
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i], reference::to_half(values[i])) << values[i];
    }
  }
}

}  // namespace
}  // namespace vktrain::testing
