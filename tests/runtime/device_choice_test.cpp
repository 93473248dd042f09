// The floor and the choice of a device, over profiles of devices that need not exist.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/device_list.h"
#include "runtime/error.h"

namespace vktrain::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

DeviceProfile profile_at_the_floor() {
  DeviceProfile profile;
  profile.max_shared_memory = 16 * 1024;
  profile.max_workgroup_invocations = 128;
  profile.max_workgroup_size = {128, 128, 64};
  profile.max_workgroup_count = {65535, 65535, 65535};
  profile.storage_alignment = 256;
  profile.max_push_constants = 128;
  profile.max_storage_buffers = 8;
  return profile;
}

DeviceProfile device(std::uint32_t index, std::string name, DeviceKind kind,
                     std::vector<std::string> refused = {}) {
  DeviceProfile profile;
  profile.index = index;
  profile.name = std::move(name);
  profile.kind = kind;
  profile.refused = std::move(refused);
  return profile;
}

std::vector<DeviceProfile> desk() {
  return {device(0, "llvmpipe", DeviceKind::cpu),
          device(1, "Intel UHD 620", DeviceKind::integrated),
          device(2, "GeForce RTX 4090", DeviceKind::discrete, {"no compute queue"}),
          device(3, "Radeon RX 6800", DeviceKind::discrete),
          device(4, "Radeon RX 6800", DeviceKind::discrete)};
}

template <class Expected = UsageError>
std::string error_of(const std::vector<DeviceProfile>& devices, std::string_view selector) {
  try {
    choose_device(devices, selector);
  } catch (const Expected& error) {
    return error.what();
  }
  return "";
}

TEST(Floor, AcceptsADeviceThatIsExactlyAtIt) {
  EXPECT_THAT(refusal_reasons(profile_at_the_floor(), {}), IsEmpty());
}

TEST(Floor, CollectsEveryReason) {
  DeviceProfile profile = profile_at_the_floor();
  profile.max_shared_memory = 16 * 1024 - 1;
  profile.max_workgroup_invocations = 127;
  profile.max_workgroup_size[0] = 127;
  profile.max_workgroup_count[1] = 65534;
  profile.storage_alignment = 512;
  profile.max_push_constants = 127;
  profile.max_storage_buffers = 4;
  EXPECT_THAT(
      refusal_reasons(profile, {1, 0, false, false}),
      ElementsAre("Vulkan version: 1.0, 1.1 needed", "no compute queue",
                  "no host-visible and coherent memory", "storage buffers a stage: 4, 8 needed",
                  "bytes of shared memory: 16383, 16384 needed",
                  "invocations a workgroup: 127, 128 needed",
                  "bytes of push constants: 127, 128 needed",
                  "invocations on a workgroup's first axis: 127, 128 needed",
                  "workgroups on an axis: 65534, 65535 needed",
                  "alignment of storage buffers: 512 bytes, at most 256 possible"));
}

TEST(Floor, AcceptsLaterVersions) {
  EXPECT_THAT(refusal_reasons(profile_at_the_floor(), {1, 3, true}), IsEmpty());
  EXPECT_THAT(refusal_reasons(profile_at_the_floor(), {2, 0, true}), IsEmpty());
}

TEST(ChooseDevice, AutoPrefersByKindThenByIndexAmongUsable) {
  EXPECT_EQ(choose_device(desk(), "auto").index, 3u);
  const std::vector<DeviceProfile> kinds = {
      device(0, "o", DeviceKind::other), device(1, "c", DeviceKind::cpu),
      device(2, "v", DeviceKind::virtual_gpu), device(3, "i", DeviceKind::integrated),
      device(4, "d", DeviceKind::discrete)};
  for (std::size_t count = 1; count <= kinds.size(); ++count) {
    EXPECT_EQ(choose_device(std::span(kinds).first(count), "auto").index, count - 1);
  }
}

TEST(ChooseDevice, TakesAnIndex) {
  const auto devices = desk();
  EXPECT_EQ(&choose_device(devices, "0"), &devices[0]);
  EXPECT_EQ(&choose_device(devices, "4"), &devices[4]);
}

TEST(ChooseDevice, TakesAPartOfTheNameWithoutRegardToCase) {
  EXPECT_EQ(choose_device(desk(), "uhd").index, 1u);
  EXPECT_EQ(choose_device(desk(), "RADEON").index, 3u);
  EXPECT_EQ(choose_device(desk(), "6800").index, 3u);  // too large for an index
}

TEST(ChooseDevice, PrefersAUsableDeviceAmongEqualNames) {
  const std::vector<DeviceProfile> devices = {
      device(0, "Radeon A", DeviceKind::discrete, {"no compute queue"}),
      device(1, "Radeon B", DeviceKind::integrated)};
  EXPECT_EQ(choose_device(devices, "radeon").index, 1u);
}

TEST(ChooseDevice, RefusesAnUnusableDeviceWithTheReasonsOfAll) {
  for (const char* selector : {"2", "4090"}) {
    const std::string error = error_of(desk(), selector);
    EXPECT_THAT(error, HasSubstr("device 2 \"GeForce RTX 4090\" cannot be used"));
    EXPECT_THAT(error, HasSubstr("2: GeForce RTX 4090 (discrete), refused: no compute queue"));
    EXPECT_THAT(error, HasSubstr("0: llvmpipe (CPU)"));
  }
}

TEST(ChooseDevice, ListsTheDevicesWhenNothingFits) {
  for (const char* selector : {"5", "arc", "-1", "", "1x"}) {
    const std::string error = error_of(desk(), selector);
    EXPECT_THAT(error, HasSubstr("no Vulkan device fits")) << selector;
    EXPECT_THAT(error, HasSubstr("1: Intel UHD 620 (integrated)")) << selector;
    EXPECT_THAT(error, HasSubstr("4: Radeon RX 6800")) << selector;
  }
}

TEST(ChooseDevice, SaysWhyNoDeviceIsUsable) {
  const std::vector<DeviceProfile> devices = {device(
      0, "Old", DeviceKind::discrete, {"Vulkan version: 1.0, 1.1 needed", "no compute queue"})};
  const std::string error = error_of<DeviceError>(devices, "auto");
  EXPECT_THAT(error, HasSubstr("no Vulkan device is usable"));
  EXPECT_THAT(error, HasSubstr("refused: Vulkan version: 1.0, 1.1 needed; no compute queue"));
}

TEST(ChooseDevice, SaysWhatToInstallWhenThereIsNone) {
  for (const char* selector : {"auto", "0", "radeon"}) {
    const std::string error = error_of<DeviceError>({}, selector);
    EXPECT_THAT(error, HasSubstr("no Vulkan device was found: install"));
    EXPECT_THAT(error, Not(HasSubstr("the devices are")));
  }
}

}  // namespace
}  // namespace vktrain::runtime
