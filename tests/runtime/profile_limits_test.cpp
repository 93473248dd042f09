// Clamping a device's profile, reading limits from files, and devices opened within limits.
#include "runtime/profile_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/profile_json.h"
#include "tests/support/scoped_variable.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_device.h"

namespace vktrain::runtime {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using vktrain::testing::ScopedVariable;
using vktrain::testing::TemporaryFolder;
using vktrain::testing::test_device;
using Json = nlohmann::ordered_json;

// Above the minimum in everything.
DeviceProfile large() {
  DeviceProfile profile;
  profile.index = 3;
  profile.name = "Large \xff";  // not UTF-8
  profile.kind = DeviceKind::discrete;
  profile.driver_name = "driver";
  profile.driver_info = "1.2";
  profile.api_version = "1.3.4";
  profile.vendor_id = 7;
  profile.device_id = 8;
  profile.subgroup_size = 32;
  profile.subgroup_shuffle = true;
  profile.half_matrix = {16, 8, 16};
  profile.max_shared_memory = 65536;
  profile.max_workgroup_invocations = 1024;
  profile.max_workgroup_size = {1024, 1023, 1022};
  profile.max_workgroup_count = {1u << 31, 70000, 80000};
  profile.max_push_constants = 256;
  profile.max_storage_buffers = 16;
  profile.max_storage_range = std::uint64_t{1} << 32;
  profile.storage_alignment = 16;
  profile.max_texel_elements = 1u << 27;
  profile.texel_alignment = 64;
  profile.max_allocation = std::uint64_t{1} << 33;
  profile.max_loop_turns = 70000;
  profile.memory = std::uint64_t{1} << 34;
  profile.timestamps = true;
  profile.timestamp_period = 52.083;
  return profile;
}

void write_text(const std::filesystem::path& file, const std::string& text) {
  vktrain::testing::write_bytes(file,
                                {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::string error_of(const std::string& limits) {
  try {
    read_limits(limits);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "read";
}

TEST(ProfileLimits, TheMinimumIsWhatVulkanGuarantees) {
  const DeviceProfile clamped = clamp(large(), minimum_limits());
  EXPECT_EQ(clamped.max_shared_memory, 16384u);
  EXPECT_EQ(clamped.max_workgroup_invocations, 128u);
  EXPECT_EQ(clamped.max_workgroup_size, (std::array<std::uint32_t, 3>{128, 128, 64}));
  EXPECT_EQ(clamped.max_workgroup_count, (std::array<std::uint32_t, 3>{65535, 65535, 65535}));
  EXPECT_EQ(clamped.max_push_constants, 128u);
  EXPECT_EQ(clamped.max_storage_buffers, 8u);
  EXPECT_EQ(clamped.max_storage_range, 134217728u);
  EXPECT_EQ(clamped.storage_alignment, 256u);
  EXPECT_EQ(clamped.max_texel_elements, 65536u);
  EXPECT_EQ(clamped.texel_alignment, 256u);
  EXPECT_EQ(clamped.max_allocation, 1073741824u);
  EXPECT_EQ(clamped.max_loop_turns, 70000u);  // Vulkan knows no such limit
  EXPECT_EQ(clamped.subgroup_size, 0u);
  EXPECT_FALSE(clamped.subgroup_shuffle);
  EXPECT_FALSE(clamped.timestamps);
  EXPECT_EQ(clamped.limits, "minimum");
  EXPECT_TRUE(clamped.usable());
  // What the limits say nothing of.
  EXPECT_EQ(clamped.kind, DeviceKind::discrete);
  EXPECT_EQ(clamped.name, large().name);
  EXPECT_EQ(clamped.memory, large().memory);
  EXPECT_EQ(clamped.vendor_id, 7u);
}

TEST(ProfileLimits, ALimitNeverAddsAnything) {
  DeviceProfile small = large();
  small.max_shared_memory = 20000;
  small.max_workgroup_size = {100, 2000, 50};
  small.storage_alignment = 512;
  small.timestamps = false;
  const DeviceProfile clamped = clamp(small, {large(), true});
  EXPECT_EQ(clamped.max_shared_memory, 20000u);
  EXPECT_EQ(clamped.max_workgroup_size, (std::array<std::uint32_t, 3>{100, 1023, 50}));
  EXPECT_EQ(clamped.storage_alignment, 512u);
  EXPECT_FALSE(clamped.timestamps);
  EXPECT_EQ(profile_object(clamp(large(), no_limits())), profile_object(large()));
}

// 0: none is known.
TEST(ProfileLimits, TheLowerLimitOfLoopsWins) {
  const auto clamped = [](std::uint32_t own, std::uint32_t limit) {
    DeviceProfile device = large(), other = large();
    device.max_loop_turns = own;
    other.max_loop_turns = limit;
    return clamp(device, {other, true}).max_loop_turns;
  };
  EXPECT_EQ(clamped(100, 0), 100u);
  EXPECT_EQ(clamped(0, 100), 100u);
  EXPECT_EQ(clamped(100, 200), 100u);
  EXPECT_EQ(clamped(200, 100), 100u);
  EXPECT_EQ(clamped(0, 0), 0u);
}

TEST(ProfileLimits, OnlyTheChoicesAreTakenOver) {
  DeviceProfile cpu = large();
  cpu.name = "llvmpipe";
  cpu.kind = DeviceKind::cpu;
  cpu.vendor_id = 1;
  EXPECT_EQ(clamp(cpu, {large(), false}).kind, DeviceKind::cpu);
  const DeviceProfile replayed = clamp(cpu, {large(), true});
  EXPECT_EQ(replayed.kind, DeviceKind::discrete);
  EXPECT_EQ(replayed.vendor_id, 7u);
  EXPECT_EQ(replayed.name, "llvmpipe");
  EXPECT_EQ(replayed.limits, large().name);
}

// A kernel for 32 lanes must not be offered where a subgroup has 8, nor one for 8.
TEST(ProfileLimits, SubgroupsOfAnotherSizeAreNotKnown) {
  EXPECT_EQ(clamp(large(), {large(), true}).subgroup_size, 32u);
  EXPECT_TRUE(clamp(large(), {large(), true}).subgroup_shuffle);
  DeviceProfile eight = large();
  eight.subgroup_size = 8;
  EXPECT_EQ(clamp(eight, {large(), true}).subgroup_size, 0u);
  EXPECT_FALSE(clamp(eight, {large(), true}).subgroup_shuffle);
  DeviceProfile without = large();
  without.subgroup_shuffle = false;
  EXPECT_FALSE(clamp(large(), {without, true}).subgroup_shuffle);
  EXPECT_FALSE(clamp(without, {large(), true}).subgroup_shuffle);
}

TEST(ProfileLimits, MatrixUnitsAreThoseThatBothHave) {
  EXPECT_EQ(clamp(large(), {large(), true}).half_matrix, large().half_matrix);
  DeviceProfile other = large();
  other.half_matrix = {16, 16, 16};
  EXPECT_EQ(clamp(large(), {other, true}).half_matrix[0], 0u);
  DeviceProfile narrow = large();
  narrow.subgroup_size = 16;  // the size of a subgroup decides what a workgroup is
  EXPECT_EQ(clamp(large(), {narrow, true}).half_matrix[0], 0u);
  EXPECT_EQ(clamp(large(), minimum_limits()).half_matrix[0], 0u);
}

TEST(ProfileLimits, LimitsBelowTheFloorAreAReasonForRefusal) {
  ProfileLimits four = minimum_limits();
  four.profile.max_storage_buffers = 4;
  const DeviceProfile clamped = clamp(large(), four);
  ASSERT_EQ(clamped.refused.size(), 1u);
  EXPECT_EQ(clamped.refused[0], "storage buffers a stage: 4, 8 needed");
  const std::string selector = test_device();
  try {
    Device::open({.selector = selector, .limits = four});
    FAIL() << "opened";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("within the limits of \"minimum\""),
                                    HasSubstr("storage buffers a stage: 4, 8 needed")));
  }
}

TEST(ProfileLimits, ADeviceIsOpenedWithinThem) {
  const std::string selector = test_device();
  EXPECT_EQ(Device::open({.selector = selector, .limits = minimum_limits()})->profile().limits,
            "minimum");
  const ScopedVariable variable("VKTRAIN_LIMITS", "minimum");
  EXPECT_EQ(Device::open({.selector = selector})->profile().max_shared_memory, 16384u);
  EXPECT_EQ(Device::open({.selector = selector, .limits = no_limits()})->profile().limits, "");
  const ScopedVariable wrong("VKTRAIN_LIMITS", "no such file");
  EXPECT_THROW(Device::open({.selector = selector}), UsageError);
}

TEST(ProfileJson, OwnProfilesSurviveTheRoundTrip) {
  const TemporaryFolder folder;
  DeviceProfile profile = large();
  profile.name = "Größe";
  profile.limits = "minimum";
  profile.refused = {"a reason"};
  const std::string file = (folder / "device.json").string();
  const Json object = profile_object(profile);
  for (const Json& form : {object, Json::array({object}), Json{{"device", object}}}) {
    write_text(file, form.dump());
    EXPECT_EQ(profile_object(read_profile(file, std::nullopt)), object);
  }
  for (const auto& [key, value] : object.items()) {
    Json changed = object;
    changed[key] = value.is_number() ? Json("text") : Json(-1);
    write_text(file, changed.dump());
    if (key == "usable") continue;  // follows from the reasons
    EXPECT_THAT(error_of(file), HasSubstr("\"" + key + "\": expected ")) << key;
  }
}

// Reports that older versions wrote, and files of others, do not tell it.
TEST(ProfileJson, KnowsTheLoopLimitOfADriver) {
  const TemporaryFolder folder;
  const std::string file = (folder / "device.json").string();
  Json own = profile_object(large());
  own["name"] = "Some CPU";  // in UTF-8
  own["driver"] = "llvmpipe";
  write_text(file, own.dump());
  EXPECT_EQ(read_profile(file, std::nullopt).max_loop_turns, 70000u);
  own.erase("max_loop_turns");
  write_text(file, own.dump());
  EXPECT_EQ(read_profile(file, std::nullopt).max_loop_turns, 65535u);
  own["driver"] = "another";
  write_text(file, own.dump());
  EXPECT_EQ(read_profile(file, std::nullopt).max_loop_turns, 0u);
}

Json vulkan_limits() {
  return {{"maxComputeSharedMemorySize", 49152},
          {"maxComputeWorkGroupCount", {65535, 65534, 65533}},
          {"maxComputeWorkGroupInvocations", 512},
          {"maxComputeWorkGroupSize", {512, 511, 64}},
          {"maxPushConstantsSize", 256},
          {"maxDescriptorSetStorageBuffers", 48},
          {"maxPerStageDescriptorStorageBuffers", 64},
          {"maxStorageBufferRange", 4294967295},
          {"minStorageBufferOffsetAlignment", 32},
          {"maxTexelBufferElements", 134217728},
          {"minTexelBufferOffsetAlignment", 16},
          {"timestampPeriod", 1.0}};
}

Json vulkan_properties(const Json& kind) {
  return {{"apiVersion", 4206822}, {"deviceID", 26},   {"deviceName", "Some GPU"},
          {"deviceType", kind},    {"vendorID", 4318}, {"limits", vulkan_limits()}};
}

void expect_some_gpu(const DeviceProfile& profile) {
  EXPECT_EQ(profile.name, "Some GPU");
  EXPECT_EQ(profile.kind, DeviceKind::discrete);
  EXPECT_EQ(profile.vendor_id, 4318u);
  EXPECT_EQ(profile.api_version, "1.3.230");
  EXPECT_EQ(profile.max_shared_memory, 49152u);
  EXPECT_EQ(profile.max_workgroup_size, (std::array<std::uint32_t, 3>{512, 511, 64}));
  EXPECT_EQ(profile.max_workgroup_count, (std::array<std::uint32_t, 3>{65535, 65534, 65533}));
  EXPECT_EQ(profile.max_storage_buffers, 48u);
  EXPECT_EQ(profile.storage_alignment, 32u);
}

// What `vulkaninfo --json` writes; the flags and kinds are names in one, numbers in the other.
TEST(ProfileJson, ReadsVulkaninfo) {
  const TemporaryFolder folder;
  const Json named = {
      {"VkPhysicalDeviceProperties", vulkan_properties("VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU")},
      {"VkPhysicalDeviceMaintenance3Properties", {{"maxMemoryAllocationSize", 5000000000}}},
      {"VkPhysicalDeviceMaintenance4Properties", {{"maxBufferSize", 4000000000}}},
      {"VkPhysicalDeviceDriverProperties", {{"driverName", "llvmpipe"}, {"driverInfo", "5"}}},
      {"VkPhysicalDeviceSubgroupProperties",
       {{"subgroupSize", 32},
        {"supportedStages", {"VK_SHADER_STAGE_COMPUTE_BIT"}},
        {"supportedOperations", {"VK_SUBGROUP_FEATURE_SHUFFLE_BIT"}}}}};
  const std::string file = (folder / "info.json").string();
  write_text(file, Json{{"capabilities", {{"device", {{"properties", named}}}}}}.dump());
  const DeviceProfile profile = read_profile(file, std::nullopt);
  expect_some_gpu(profile);
  EXPECT_EQ(profile.max_allocation, 4000000000u);
  EXPECT_EQ(profile.driver_name, "llvmpipe");
  EXPECT_EQ(profile.max_loop_turns, 65535u);
  EXPECT_EQ(profile.subgroup_size, 32u);
  EXPECT_TRUE(profile.subgroup_shuffle);

  const Json numbered = {{"VkPhysicalDeviceProperties", vulkan_properties(2)},
                         {"VkPhysicalDeviceSubgroupProperties",
                          {{"subgroupSize", 64},
                           {"supportedStages", 0x20},
                           {"supportedOperations", 0xef}}}};  // all but shuffles
  write_text(file, numbered.dump());
  const DeviceProfile older = read_profile(file, std::nullopt);
  expect_some_gpu(older);
  EXPECT_EQ(older.max_allocation, 1u << 30);
  EXPECT_EQ(older.subgroup_size, 64u);
  EXPECT_FALSE(older.subgroup_shuffle);

  write_text(file, Json{{"properties", vulkan_properties(2)}}.dump());
  expect_some_gpu(read_limits(file).profile);
}

TEST(ProfileJson, ChoosesAmongSeveral) {
  const TemporaryFolder folder;
  Json list = Json::array({profile_object(clamp(large(), minimum_limits()))});
  list[0]["name"] = "first";
  list.push_back(list[0]);
  list[1]["name"] = "second";
  const std::string file = (folder / "list.json").string();
  write_text(file, list.dump());
  EXPECT_EQ(read_limits(file + ":0").profile.name, "first");
  EXPECT_EQ(read_limits(file + ":1").profile.name, "second");
  EXPECT_THAT(error_of(file), HasSubstr("expected one device, found 2; choose one by its "
                                        "position: " +
                                        file + ":0"));
  EXPECT_THAT(error_of(file + ":2"), HasSubstr("expected a device 2, found 2 (the first is 0)"));
}

TEST(ProfileJson, TellsWhatIsWrongWithAFile) {
  const TemporaryFolder folder;
  const std::string file = (folder / "limits.json").string();
  EXPECT_THAT(error_of(file), AllOf(HasSubstr("limits '" + file + "'"), HasSubstr("no such file")));
  EXPECT_THAT(error_of(folder.path().string()), HasSubstr("nothing that can be read"));
  write_text(file, "{\"name\": ");
  EXPECT_THAT(error_of(file), HasSubstr("expected JSON, found none"));
  write_text(file, "[]");
  EXPECT_THAT(error_of(file), HasSubstr("found an empty list"));
  for (const char* other : {"{}", "3", "null", "[[]]", "{\"properties\": {}}"}) {
    write_text(file, other);
    EXPECT_THAT(error_of(file), HasSubstr("found another form of JSON")) << other;
  }
  Json wrong = profile_object(clamp(large(), minimum_limits()));
  wrong["name"] = "";
  wrong["storage_alignment"] = 0;
  write_text(file, wrong.dump());
  EXPECT_THAT(error_of(file), HasSubstr("power of two as storage buffer alignment, found 0"));
  wrong["storage_alignment"] = 48;
  write_text(file, wrong.dump());
  EXPECT_THAT(error_of(file), HasSubstr("power of two as storage buffer alignment, found 48"));
  wrong["storage_alignment"] = 64;
  write_text(file, wrong.dump());
  EXPECT_EQ(read_limits(file).profile.name, "limits.json");
}

}  // namespace
}  // namespace vktrain::runtime
