// Devices as a driver should not list them: a list that changes while it is read, none, two of one
// name, limits below the floor, memory types in another order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/command_graph.h"
#include "runtime/error.h"
#include "runtime/memory.h"
#include "tests/layer/fault_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using vktrain::testing::FaultHooks;
using FaultyList = vktrain::testing::FaultTest;

TEST_F(FaultyList, ThatGrowsWhileItIsRead) {
  const std::size_t before = list_devices().size();
  FaultHooks hooks;
  hooks.edit_devices = [calls = 0](std::vector<VkPhysicalDevice>& devices) mutable {
    if (++calls > 1) devices.push_back(devices.front());
  };
  layer().reset(hooks);
  EXPECT_EQ(list_devices().size(), before + 1);
}

TEST_F(FaultyList, ThatIsAlwaysIncomplete) {
  FaultHooks hooks;
  hooks.edit_devices = [calls = 0](std::vector<VkPhysicalDevice>& devices) mutable {
    if (++calls % 2 == 0) devices.push_back(devices.front());
  };
  layer().reset(hooks);
  EXPECT_FALSE(list_devices().empty());
}

TEST_F(FaultyList, ThatIsEmpty) {
  FaultHooks hooks;
  hooks.edit_devices = [](std::vector<VkPhysicalDevice>& devices) { devices.clear(); };
  layer().reset(hooks);
  EXPECT_THAT(list_devices(), IsEmpty());
  try {
    open();
    FAIL() << "opened";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no Vulkan device was found: install a driver"));
  }
}

TEST_F(FaultyList, ThatCannotBeRead) {
  layer().reset(
      vktrain::testing::fail_once("vkEnumeratePhysicalDevices", 2, VK_ERROR_OUT_OF_HOST_MEMORY));
  EXPECT_THROW(list_devices(), DeviceError);
  layer().reset(
      vktrain::testing::fail_once("vkEnumeratePhysicalDevices", 1, VK_ERROR_INITIALIZATION_FAILED));
  EXPECT_THAT(list_devices(), IsEmpty());  // every driver failed to start
}

TEST_F(FaultyList, WithTwoDevicesOfOneName) {
  FaultHooks hooks;
  hooks.edit_devices = [](std::vector<VkPhysicalDevice>& devices) {
    devices.insert(devices.begin() + 1, devices.front());
  };
  layer().reset(hooks);
  const std::vector<DeviceProfile> devices = list_devices();
  ASSERT_GE(devices.size(), 2u);
  EXPECT_EQ(devices[0].name, devices[1].name);
  EXPECT_EQ(choose_device(devices, devices[0].name).index, 0u);
  EXPECT_EQ(Device::open({.selector = "1", .pipeline_cache = false})->profile().index, 1u);
}

struct LowLimit {
  const char* reason;
  std::function<void(FaultHooks&)> set;
};

std::function<void(FaultHooks&)> limit(std::function<void(VkPhysicalDeviceLimits&)> edit) {
  return [edit = std::move(edit)](FaultHooks& hooks) {
    hooks.edit_properties = [edit](VkPhysicalDeviceProperties& properties) {
      edit(properties.limits);
    };
  };
}

// Every memory type of the device, with other flags.
std::function<void(FaultHooks&)> memory_flags(VkMemoryPropertyFlags removed) {
  return [removed](FaultHooks& hooks) {
    hooks.edit_memory = [removed](VkPhysicalDeviceMemoryProperties& memory) {
      for (VkMemoryType& type : memory.memoryTypes) type.propertyFlags &= ~removed;
    };
  };
}

std::vector<LowLimit> low_limits() {
  return {
      {"storage buffers a stage: 4, 8 needed",
       limit([](auto& limits) { limits.maxPerStageDescriptorStorageBuffers = 4; })},
      {"bytes of shared memory: 8192, 16384 needed",
       limit([](auto& limits) { limits.maxComputeSharedMemorySize = 8192; })},
      {"invocations a workgroup: 64, 128 needed",
       limit([](auto& limits) { limits.maxComputeWorkGroupInvocations = 64; })},
      {"workgroups on an axis: 0, 65535 needed",
       limit([](auto& limits) { limits.maxComputeWorkGroupCount[1] = 0; })},
      {"alignment of storage buffers: 1024 bytes, at most 256 possible",
       limit([](auto& limits) { limits.minStorageBufferOffsetAlignment = 1024; })},
      {"Vulkan version: 1.0, 1.1 needed",
       [](FaultHooks& hooks) {
         hooks.edit_properties = [](VkPhysicalDeviceProperties& properties) {
           properties.apiVersion = VK_API_VERSION_1_0;
         };
       }},
      {"no compute queue",
       [](FaultHooks& hooks) {
         hooks.edit_queue_families = [](std::vector<VkQueueFamilyProperties>& families) {
           for (VkQueueFamilyProperties& family : families) {
             family.queueFlags &= ~VkQueueFlags{VK_QUEUE_COMPUTE_BIT};
           }
         };
       }},
      {"no compute queue",
       [](FaultHooks& hooks) {
         hooks.edit_queue_families = [](auto& families) { families.clear(); };
       }},
      {"no host-visible and coherent memory", memory_flags(VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)},
      {"no host-visible and coherent memory", memory_flags(VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)},
  };
}

TEST_F(FaultyList, RefusesDevicesBelowTheFloor) {
  for (const LowLimit& low : low_limits()) {
    FaultHooks hooks;
    low.set(hooks);
    layer().reset(hooks);
    for (const DeviceProfile& device : list_devices()) {
      EXPECT_THAT(device.refused, Contains(low.reason)) << device.name;
    }
    try {
      open();
      ADD_FAILURE() << "opened: " << low.reason;
    } catch (const Error& error) {  // a named device is a UsageError
      EXPECT_THAT(error.what(), HasSubstr(low.reason));
    }
  }
}

TEST_F(FaultyList, TakesOddButAllowedLimits) {
  FaultHooks hooks;
  hooks.edit_properties = [](VkPhysicalDeviceProperties& properties) {
    properties.limits.minStorageBufferOffsetAlignment = 0;
    properties.limits.minTexelBufferOffsetAlignment = 0;
    properties.limits.minMemoryMapAlignment = 1 << 16;
    properties.limits.nonCoherentAtomSize = 1 << 16;
  };
  hooks.edit_queue_families = [](std::vector<VkQueueFamilyProperties>& families) {
    for (VkQueueFamilyProperties& family : families) family.timestampValidBits = 0;
  };
  layer().reset(hooks);
  const auto device = open();
  EXPECT_EQ(device->profile().storage_alignment, 1u);
  EXPECT_FALSE(device->profile().timestamps);
  EXPECT_THROW(CommandGraph(*device, /*profile=*/true), DeviceError);
}

// Fills, uploads and downloads through whatever memory there is.
void expect_copies_work(Device& device) {
  Arena arena(device, "copies");
  const Slice slice = arena.allocate(1024, "numbers");
  const std::vector<std::uint32_t> numbers(256, 7);
  device.upload(slice, std::as_bytes(std::span(numbers)));
  std::vector<std::uint32_t> found(256);
  device.download(slice, std::as_writable_bytes(std::span(found)));
  EXPECT_THAT(found, Each(7u));
}

TEST_F(FaultyList, TakesTheRightOfManyMemoryTypes) {
  constexpr VkMemoryPropertyFlags kVisible =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  constexpr VkMemoryPropertyFlags kTypes[] = {
      VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT,
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
      kVisible,
      VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD,
      VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
      kVisible | VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
      kVisible | VK_MEMORY_PROPERTY_PROTECTED_BIT,
  };
  FaultHooks hooks;
  hooks.edit_memory = [&](VkPhysicalDeviceMemoryProperties& memory) {
    memory.memoryTypeCount = std::size(kTypes);
    for (std::size_t i = 0; i < std::size(kTypes); ++i) memory.memoryTypes[i] = {kTypes[i], 0};
  };
  layer().reset(hooks);
  const auto device = open();
  if (device->profile().kind != DeviceKind::cpu) GTEST_SKIP() << "type 0 must do for everything";
  expect_copies_work(*device);
  EXPECT_THAT(layer().memory_types(), AllOf(Contains(4u), Contains(5u)));
  for (const std::uint32_t type : {0u, 1u, 2u, 3u, 6u}) {
    EXPECT_EQ(std::ranges::count(layer().memory_types(), type), 0) << type;
  }
}

TEST_F(FaultyList, NeedsNoDeviceLocalMemory) {
  FaultHooks hooks;
  memory_flags(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT)(hooks);
  layer().reset(hooks);
  const auto device = open();
  if (device->profile().kind != DeviceKind::cpu) GTEST_SKIP() << "type 0 must do for everything";
  expect_copies_work(*device);
}

}  // namespace
}  // namespace vktrain::runtime
