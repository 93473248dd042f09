// Spread, the number of runs of a measurement, and the peaks with their own checks.
#include "nn/tuning/measure.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "nn/tuning/peak.h"
#include "runtime/platform.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

TEST(Spread, IsMedianLeastAndMost) {
  const Spread odd = spread_of({5, 1, 3});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.least, 1);
  EXPECT_EQ(odd.most, 5);
  EXPECT_EQ(spread_of({4, 1, 2, 10}).median, 3);
  EXPECT_EQ(spread_of({7}).median, 7);
  EXPECT_THROW(spread_of({}), std::invalid_argument);
}

TEST(Measure, RunsOnceARepetitionWithoutLeastTime) {
  std::uint64_t runs = 0;
  const Measurement result =
      measure([&runs](std::uint32_t count) { runs += count; },
              {.warmup = 2, .repetitions = 3, .min_seconds = 0, .pause = nullptr});
  EXPECT_EQ(runs, 5U);
  EXPECT_EQ(result.runs, 1U);
  EXPECT_EQ(result.wall.size(), 3U);
  EXPECT_EQ(result.cpu.size(), 3U);
}

TEST(Measure, RepeatsUntilARepetitionTakesTheLeastTime) {
  // Burns processor time, so that both clocks advance.
  std::uint64_t runs = 0;
  const auto burn = [&runs](std::uint32_t count) {
    runs += count;
    const double end = process_cpu_seconds() + 1e-4 * count;
    while (process_cpu_seconds() < end) {
    }
  };
  const Measurement result =
      measure(burn, {.warmup = 0, .repetitions = 2, .min_seconds = 0.02, .pause = nullptr});
  EXPECT_GE(result.runs, 1U);
  EXPECT_LE(result.runs, 200U);  // none takes less than a tenth of a millisecond
  EXPECT_GE(runs, 2 * result.runs + 1);
  EXPECT_GE(spread_of(result.cpu).least, 1e-4);
  EXPECT_GE(spread_of(result.wall).least, 1e-4 * 0.9);
}

TEST(Measure, PauseEndsIt) {
  int pauses = 0;
  MeasureOptions options;
  options.pause = [&pauses] {
    if (++pauses == 3) throw std::runtime_error("stop");
  };
  options.min_seconds = 0;
  std::uint32_t runs = 0;
  EXPECT_THROW(measure([&runs](std::uint32_t count) { runs += count; }, options),
               std::runtime_error);
  EXPECT_EQ(runs, 2U);
}

class PeakTest : public DeviceTest {
 protected:
  const MeasureOptions once{.warmup = 0, .repetitions = 1, .min_seconds = 0, .pause = nullptr};
};

// measure_fma itself compares the sums of the chains with what so many multiply-adds give.
TEST_F(PeakTest, FmaChainsAreCountedAndChecked) {
  const PeakMeasurement one = measure_fma(device(), {.chains = 1, .long_body = false}, once);
  const PeakMeasurement three = measure_fma(device(), {.chains = 3, .long_body = false}, once);
  EXPECT_EQ(three.work, 3 * one.work);
  EXPECT_GT(best_rate(one, device().profile()), 0);
}

TEST_F(PeakTest, MemoryCountsReadsAndWrites) {
  EXPECT_EQ(measure_memory(device(), MemoryPattern::copy, 1000, once).work, 2 * 992);
  EXPECT_EQ(measure_memory(device(), MemoryPattern::triad, 1 << 20, once).work, 3 << 20);
}

}  // namespace
}  // namespace vktrain::testing
