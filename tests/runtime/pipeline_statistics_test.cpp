// What drivers tell of compiled kernels, as each of them words it, and of a kernel of the device at
// hand.
#include "runtime/pipeline_statistics.h"

#include <gtest/gtest.h>

#include "tests/support/device_fixture.h"

namespace vktrain::runtime {
namespace {

TEST(KernelResources, OfAmd) {
  const PipelineStatistic told[] = {
      {"Driver pipeline hash", 5}, {"SGPRs", 48},       {"VGPRs", 108},      {"Spilled SGPRs", 2},
      {"Spilled VGPRs", 3},        {"Code size", 6548}, {"LDS size", 16896}, {"Scratch size", 1024},
      {"Subgroups per SIMD", 2},   {"Latency", 20000}};
  const KernelResources resources = resources_of(told);
  EXPECT_EQ(resources.scalar_registers, 48);
  EXPECT_EQ(resources.vector_registers, 108);
  EXPECT_EQ(resources.spills, 5);
  EXPECT_EQ(resources.scratch, 1024);
  EXPECT_EQ(resources.shared_memory, 16896);
  EXPECT_EQ(resources.code_size, 6548);
  EXPECT_EQ(resources.occupancy, 2);
  EXPECT_EQ(resources.latency, 20000);
  EXPECT_TRUE(resources.leaves_registers());
}

TEST(KernelResources, OfIntelAndNvidia) {
  const PipelineStatistic intel[] = {
      {"Spill Count", 4}, {"Fill Count", 6}, {"Scratch Memory Size", 0}, {"Cycle Count", 900}};
  EXPECT_EQ(resources_of(intel).spills, 10);
  EXPECT_EQ(resources_of(intel).latency, 900);
  EXPECT_TRUE(resources_of(intel).leaves_registers());
  const PipelineStatistic nvidia[] = {
      {"Register Count", 96}, {"Binary Size", 4096}, {"Stack Size", 0}};
  EXPECT_EQ(resources_of(nvidia).vector_registers, 96);
  EXPECT_EQ(resources_of(nvidia).code_size, 4096);
  EXPECT_FALSE(resources_of(nvidia).leaves_registers());
}

TEST(KernelResources, WhatIsNotToldIsAbsent) {
  const KernelResources resources = resources_of({});
  EXPECT_FALSE(resources.vector_registers.has_value());
  EXPECT_FALSE(resources.spills.has_value());
  EXPECT_FALSE(resources.leaves_registers());
}

using KernelReportTest = vktrain::testing::DeviceTest;

TEST_F(KernelReportTest, TellsTheWorkgroupOnEveryDevice) {
  EXPECT_FALSE(has_pipeline_statistics(device())) << "nobody asked for them";
  const KernelReport report = report_kernel(device(), {"add", {32}});
  EXPECT_EQ(report.workgroup_size, (std::array<std::uint32_t, 3>{32, 1, 1}));
  EXPECT_TRUE(report.statistics.empty());
}

}  // namespace
}  // namespace vktrain::runtime
