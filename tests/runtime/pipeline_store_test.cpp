// The file of pipelines: what is not whole and of this device never reaches the driver.
#include "runtime/pipeline_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "runtime/atomic_file.h"
#include "runtime/device_impl.h"
#include "tests/runtime/graph_fixture.h"
#include "tests/support/scoped_variable.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::runtime {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using vktrain::testing::GraphTest;
using vktrain::testing::ScopedVariable;
using vktrain::testing::TemporaryFolder;

constexpr std::size_t kUuidOffset = 16;

PipelineOwner example_owner() {
  PipelineOwner owner;
  owner.program = 0x1234;
  owner.vendor = 0x10de;
  owner.device = 0x2330;
  owner.driver_version = 77;
  owner.cache_uuid = {1, 2, 3};
  return owner;
}

// As a driver would give them: the header of the specification, then anything.
std::string driver_data(const PipelineOwner& owner) {
  const std::uint32_t head[] = {32, VK_PIPELINE_CACHE_HEADER_VERSION_ONE, owner.vendor,
                                owner.device};
  std::string data(reinterpret_cast<const char*>(head), sizeof head);
  data.append(reinterpret_cast<const char*>(owner.cache_uuid.data()), owner.cache_uuid.size());
  return data + "the pipelines";
}

TEST(PipelineFile, ComesBackWhole) {
  const PipelineOwner owner = example_owner();
  const std::string file = pack_pipelines(owner, driver_data(owner));
  EXPECT_EQ(unpack_pipelines(owner, file).data, driver_data(owner));
  EXPECT_EQ(unpack_pipelines(owner, file).problem, "");
}

TEST(PipelineFile, EveryDamagedByteIsNoticed) {
  const PipelineOwner owner = example_owner();
  const std::string file = pack_pipelines(owner, driver_data(owner));
  for (std::size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_NE(unpack_pipelines(owner, damaged).problem, "") << i;
    EXPECT_TRUE(unpack_pipelines(owner, damaged).data.empty()) << i;
  }
}

TEST(PipelineFile, EveryOtherLengthIsNoticed) {
  const PipelineOwner owner = example_owner();
  const std::string file = pack_pipelines(owner, driver_data(owner));
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(unpack_pipelines(owner, file.substr(0, size)).problem, "") << size;
  }
  EXPECT_EQ(unpack_pipelines(owner, file + "x").problem, "its length is wrong");
}

TEST(PipelineFile, AnotherOwnerIsRefused) {
  const PipelineOwner owner = example_owner();
  std::vector<PipelineOwner> others(5, owner);
  ++others[0].program;
  ++others[1].vendor;
  ++others[2].device;
  ++others[3].driver_version;
  ++others[4].cache_uuid[15];
  for (const PipelineOwner& other : others) {
    EXPECT_NE(pipeline_file_name(other), pipeline_file_name(owner));
    EXPECT_THAT(unpack_pipelines(owner, pack_pipelines(other, driver_data(other))).problem,
                HasSubstr("another device"));
  }
}

// A file of ours around data whose own header is not the device's.
TEST(PipelineFile, TheDriversHeaderIsChecked) {
  const PipelineOwner owner = example_owner();
  const std::string data = driver_data(owner);
  for (const std::size_t offset : {std::size_t{0}, std::size_t{4}, std::size_t{8}, std::size_t{12},
                                   kUuidOffset, kUuidOffset + 15}) {
    std::string other = data;
    other[offset] = static_cast<char>(other[offset] ^ 0x40);
    EXPECT_NE(unpack_pipelines(owner, pack_pipelines(owner, other)).problem, "") << offset;
  }
  EXPECT_NE(unpack_pipelines(owner, pack_pipelines(owner, data.substr(0, 31))).problem, "");
  EXPECT_NE(unpack_pipelines(owner, pack_pipelines(owner, "")).problem, "");
  EXPECT_EQ(unpack_pipelines(owner, pack_pipelines(owner, data.substr(0, 32))).problem, "");
}

class PipelineStoreTest : public GraphTest {
 protected:
  // Opens a device of its own, compiles a kernel and closes it. Returns the notices.
  std::vector<std::string> open_and_close(bool pipeline_cache = true) {
    std::vector<std::string> notices;
    const auto own =
        Device::open({.selector = std::to_string(device().profile().index),
                      .pipeline_cache = pipeline_cache,
                      .on_notice = [&](std::string_view notice) { notices.emplace_back(notice); }});
    vktrain::testing::add_test_shaders(*own);
    own->kernels().get({"add_constant", {64, 1}});
    return notices;
  }

  const PipelineOwner& owner() { return device().impl().pipelines->owner(); }
  fs::path file() { return folder_ / pipeline_file_name(owner()); }

  TemporaryFolder folder_;
  ScopedVariable variable_{"VKTRAIN_CACHE_DIR", folder_.path()};
};

// Some drivers (lavapipe of Mesa 26) have nothing to write; then it is gone.
TEST_F(PipelineStoreTest, ADamagedFileIsToldOnceAndRewritten) {
  write_file_atomically(file(), "damaged");
  EXPECT_THAT(open_and_close(), ElementsAre(HasSubstr("it is too short")));
  if (fs::exists(file())) {
    EXPECT_EQ(unpack_pipelines(owner(), read_text_file(file())).problem, "");
  }
  EXPECT_LE(folder_.names().size(), 1u);
  EXPECT_THAT(open_and_close(), IsEmpty());
}

TEST_F(PipelineStoreTest, ADriverStartsFromWhatItWrote) {
  write_file_atomically(file(), "damaged");
  open_and_close();
  if (!fs::exists(file())) GTEST_SKIP() << "the driver gives no data of pipelines";
  const std::string first = read_text_file(file());
  const auto written = fs::last_write_time(file());
  EXPECT_THAT(open_and_close(), IsEmpty());
  EXPECT_EQ(read_text_file(file()), first);
  EXPECT_EQ(fs::last_write_time(file()), written);  // nothing new to write
}

TEST_F(PipelineStoreTest, AFileThatIsTooLargeIsRefused) {
  write_file_atomically(file(), "x");
  fs::resize_file(file(), kMaxPipelineFile + 1);  // sparse
  EXPECT_THAT(open_and_close(), ElementsAre(HasSubstr("expected at most 268435456 bytes")));
  EXPECT_TRUE(!fs::exists(file()) || fs::file_size(file()) < kMaxPipelineFile);
}

TEST_F(PipelineStoreTest, WithoutTheCacheTheFileIsLeftAlone) {
  write_file_atomically(file(), "damaged");
  EXPECT_THAT(open_and_close(/*pipeline_cache=*/false), IsEmpty());
  const ScopedVariable off("VKTRAIN_CACHE_DIR", "");
  EXPECT_THAT(open_and_close(), IsEmpty());
  EXPECT_EQ(read_text_file(file()), "damaged");
}

}  // namespace
}  // namespace vktrain::runtime
