// GPU timings and their table. Never how long something takes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/profile_report.h"
#include "runtime/timestamps.h"
#include "tests/runtime/graph_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::Each;
using ProfileTest = vktrain::testing::GraphTest;

TEST_F(ProfileTest, CountsCallsAndWork) {
  if (!device().profile().timestamps) {
    EXPECT_THROW(CommandGraph(device(), /*profile=*/true), DeviceError);
    return;
  }
  const Slice x = make_slice(std::vector<std::uint32_t>(1000, 1), "x");
  const Slice y = make_slice(std::vector<std::uint32_t>(1000, 0), "y");
  const Slice z = make_slice(std::vector<std::uint32_t>(1000, 0), "z");
  CommandGraph graph(device(), /*profile=*/true);
  Dispatch first = elementwise("multiply_add", 1, x, y);
  first.label = "first";
  first.flops = 2000;
  first.bytes = 12000;
  graph.add(first);
  graph.add(elementwise("add_constant", 1, x, z));
  graph.record();
  EXPECT_EQ(graph.timings()[0].calls, 0u);
  graph.submit(5);
  graph.wait();
  graph.run(2);
  EXPECT_THAT(read<std::uint32_t>(y), Each(7u));

  const auto timings = graph.timings();
  ASSERT_EQ(timings.size(), 2u);
  EXPECT_EQ(timings[0].label, "first");
  EXPECT_EQ(timings[0].kernel, "multiply_add<64,1>");
  EXPECT_EQ(timings[0].calls, 7u);
  EXPECT_EQ(timings[0].flops, 14000);
  EXPECT_EQ(timings[0].bytes, 84000);
  EXPECT_EQ(timings[1].label, "add_constant into test/z");
  EXPECT_EQ(timings[1].calls, 7u);
  for (const auto& timing : timings) EXPECT_GE(timing.seconds, 0);
}

TEST_F(ProfileTest, AGraphWithoutProfilingHasNoTimings) {
  const Slice x = make_slice(std::vector<std::uint32_t>(10, 1), "x");
  CommandGraph graph(device());
  graph.add(elementwise("add_constant", 1, x, make_slice(std::vector<std::uint32_t>(10), "y")));
  graph.record();
  graph.run();
  EXPECT_TRUE(graph.timings().empty());
}

TEST(Timestamps, WrapAroundInTheirValidBits) {
  EXPECT_DOUBLE_EQ(elapsed_seconds(100, 350, 64, 2.0), 500e-9);
  EXPECT_DOUBLE_EQ(elapsed_seconds(0xfffffff0, 0x10, 32, 1.0), 32e-9);
  // Bits beyond the valid ones are undefined.
  EXPECT_DOUBLE_EQ(elapsed_seconds(0xab00000000000010, 0x30, 36, 1.0), 32e-9);
}

const std::vector<DispatchTiming> timings = {
    {"1.forward", "gemm<8>", 10, 0.002, 4e9, 1e6},
    {"1.update", "sgd<>", 10, 0.001, 0, 3e6},
    {"2.forward", "gemm<8>", 10, 0.005, 3e9, 6e6},
};

TEST(ProfileReport, GroupsByKernelTheMostExpensiveFirst) {
  EXPECT_EQ(profile_report(timings),
            "kernel       calls    time [ms]   share    GFLOP/s       GB/s\n"
            "gemm<8>         20        7.000   87.5%    1000.00       1.00\n"
            "sgd<>           10        1.000   12.5%          -       3.00\n"
            "total           30        8.000  100.0%     875.00       1.25\n");
}

TEST(ProfileReport, GroupsByDispatch) {
  EXPECT_EQ(profile_report(timings, ProfileGroup::dispatch),
            "dispatch       calls    time [ms]   share    GFLOP/s       GB/s\n"
            "2.forward         10        5.000   62.5%     600.00       1.20\n"
            "1.forward         10        2.000   25.0%    2000.00       0.50\n"
            "1.update          10        1.000   12.5%          -       3.00\n"
            "total             30        8.000  100.0%     875.00       1.25\n");
}

TEST(ProfileReport, NeverDividesByZero) {
  EXPECT_EQ(profile_report({}), "");
  const std::vector<DispatchTiming> instant = {{"a", "k<>", 1, 0, 5, 5}};
  EXPECT_EQ(profile_report(instant),
            "kernel      calls    time [ms]   share    GFLOP/s       GB/s\n"
            "k<>             1        0.000    0.0%          -          -\n"
            "total           1        0.000    0.0%          -          -\n");
}

}  // namespace
}  // namespace vktrain::runtime
