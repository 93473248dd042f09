// Listing and opening real devices.
#include "runtime/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "runtime/error.h"
#include "runtime/kernel.h"
#include "runtime/memory.h"
#include "tests/support/device_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using vktrain::testing::DeviceTest;

TEST(ListDevices, ProfilesHoldTheGuaranteedLimits) {
  vktrain::testing::test_device();  // skips the test where there is to be none
  const auto devices = list_devices();
  ASSERT_FALSE(devices.empty());
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const DeviceProfile& device = devices[i];
    EXPECT_EQ(device.index, i);
    EXPECT_FALSE(device.name.empty());
    EXPECT_FALSE(device.api_version.empty());
    if (!device.usable()) continue;
    EXPECT_GE(device.max_storage_buffers, kMaxBindings);
    EXPECT_GE(device.max_push_constants, kMaxPushBytes);
    EXPECT_GE(device.max_shared_memory, 16u * 1024);
    EXPECT_GE(device.max_storage_range, 128u << 20);
    EXPECT_GE(device.max_allocation, 1u << 30);
    EXPECT_GT(device.memory, 0u);
    EXPECT_GE(device.subgroup_size, 1u);
    EXPECT_LE(device.storage_alignment, 256u);
    for (const std::uint32_t count : device.max_workgroup_count) EXPECT_GE(count, 65535u);
  }
}

TEST(OpenDevice, RefusesAnUnknownName) {
  vktrain::testing::test_device();
  try {
    Device::open({.selector = "no such device"});
    FAIL() << "opened";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no Vulkan device fits \"no such device\""));
    EXPECT_THAT(error.what(), HasSubstr("0: "));
  }
}

TEST_F(DeviceTest, OpensTheListedDevice) {
  const auto devices = list_devices();
  const DeviceProfile& profile = device().profile();
  ASSERT_LT(profile.index, devices.size());
  EXPECT_EQ(profile.name, devices[profile.index].name);
  EXPECT_TRUE(profile.usable());
}

// Two devices at once, one with the layer and one without: each has its own instance.
TEST_F(DeviceTest, DevicesLiveSideBySide) {
  const std::string selector = std::to_string(device().profile().index);
  const auto other = Device::open({.selector = selector});
  EXPECT_FALSE(other->validating());
  Arena first(device(), "first");
  Arena second(*other, "second");
  const Slice x = first.allocate(16, "x");
  const Slice y = second.allocate(16, "y");
  device().fill(x, 1);
  other->fill(y, 2);
  std::array<std::uint32_t, 4> values{};
  device().download(x, std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values[3], 1u);
  other->download(y, std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values[3], 2u);
  EXPECT_THAT(other->validation_messages(), IsEmpty());
}

}  // namespace
}  // namespace vktrain::runtime
