// Kernels and dispatches held against the profile in force: each limit violated once.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/dispatch_check.h"
#include "runtime/error.h"
#include "tests/runtime/graph_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using vktrain::testing::add_test_shaders;

// A device held to the minimum, or to what is changed of it.
class KernelLimitsTest : public ::testing::Test {
 protected:
  void open() {
    arena_.reset();
    device_ = Device::open({.selector = vktrain::testing::test_device(), .limits = limits_});
    add_test_shaders(*device_);
    arena_ = std::make_unique<Arena>(*device_, "test");
  }
  std::string refusal(const KernelKey& key) {
    if (!device_) open();
    std::string why = "compiled";
    device_->kernels().try_prepare(key, &why);
    return why;
  }
  std::string refusal(const Dispatch& dispatch) {
    try {
      CommandGraph graph(*device_);
      graph.add(dispatch);
      graph.record();
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "recorded";
  }

  ProfileLimits limits_ = minimum_limits();
  std::unique_ptr<Device> device_;
  std::unique_ptr<Arena> arena_;
};

TEST_F(KernelLimitsTest, SharedMemoryWithItsConstants) {
  const auto shared = [](std::uint32_t rows, std::uint32_t columns) {
    return KernelKey{"shared_array", {64, rows, columns}};
  };
  // 2 * rows * (columns / 4 + 1) vec4 and 16 bytes.
  EXPECT_EQ(refusal(shared(30, 64)), "compiled");  // 16,336 bytes
  EXPECT_THAT(refusal(shared(31, 64)),
              AllOf(HasSubstr("kernel shared_array<64,31,64>: its 16880 bytes of shared memory do "
                              "not fit"),
                    HasSubstr("which allows 16384 within the limits of \"minimum\"")));
  limits_.profile.max_shared_memory = 16880;
  open();
  EXPECT_EQ(refusal(shared(31, 64)), "compiled");
}

TEST_F(KernelLimitsTest, WorkgroupsOfEachAxisAndOfAll) {
  EXPECT_EQ(refusal(KernelKey{"sum_eight", {128, 1, 1}}), "compiled");
  EXPECT_EQ(refusal(KernelKey{"sum_eight", {1, 1, 64}}), "compiled");
  for (const auto& size :
       {std::vector<std::uint32_t>{129, 1, 1}, {1, 129, 1}, {1, 1, 65}, {64, 3, 1}}) {
    EXPECT_THAT(refusal(KernelKey{"sum_eight", size}),
                AllOf(HasSubstr(fmt::format("a workgroup of {}x{}x{} does not fit", size[0],
                                            size[1], size[2])),
                      HasSubstr("which allows 128 invocations and 128x128x64")));
  }
}

TEST_F(KernelLimitsTest, SubgroupOperations) {
  EXPECT_THAT(refusal(KernelKey{"subgroup_shuffle", {64}}),
              AllOf(HasSubstr("its subgroup operations 0x11"), HasSubstr("which allows 0x0")));
  device_ = Device::open({.selector = vktrain::testing::test_device(), .limits = no_limits()});
  add_test_shaders(*device_);
  if (!device_->profile().subgroup_shuffle) GTEST_SKIP() << "the device has no shuffles";
  EXPECT_EQ(refusal(KernelKey{"subgroup_shuffle", {64}}), "compiled");
}

TEST_F(KernelLimitsTest, PushConstantsOfTheShader) {
  EXPECT_THAT(refusal(KernelKey{"wide_push", {64}}),
              AllOf(HasSubstr("its 256 bytes of push constants do not fit"),
                    HasSubstr("which allows 128")));
}

TEST_F(KernelLimitsTest, StorageBuffersOfTheShader) {
  DeviceProfile profile = minimum_limits().profile;
  const ShaderInterface nine = {.workgroup_size = std::array<std::uint32_t, 3>{1, 1, 1},
                                .used_bindings = 0b1'1111'1111};
  const KernelKey key{"nine", {}};
  try {
    check_kernel(key, nine, profile);
    FAIL() << "fits";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("kernel nine<>: its 9 storage buffers do not fit"));
  }
  profile.max_storage_buffers = 9;
  EXPECT_NO_THROW(check_kernel(key, nine, profile));
  ShaderInterface unknown = nine;
  unknown.shared_memory = std::nullopt;
  EXPECT_THROW(check_kernel(key, unknown, profile), DeviceError);
}

TEST_F(KernelLimitsTest, WhatADispatchBinds) {
  limits_.profile.max_texel_elements = 64;
  limits_.profile.max_storage_range = 2048;
  open();
  const Slice x = arena_->allocate(4096, "x");
  const Slice y = arena_->allocate(4096, "y");
  const Dispatch good = {
      .label = "probe",
      .kernel = {"sum_texels", {64}},
      .bindings = {{x.part(0, 1024), Access::read}, {y.part(256, 2048), Access::write}},
      .push = std::vector<std::byte>(4),
      .groups = {1, 1, 1}};
  EXPECT_EQ(refusal(good), "recorded");
  Dispatch bad = good;
  bad.bindings[0].slice = x.part(0, 1040);
  EXPECT_THAT(refusal(bad), HasSubstr("has 65 texels, the device reads at most 64"));
  bad.bindings[0].slice = x.part(128, 256);
  EXPECT_THAT(refusal(bad), HasSubstr("starts at byte 128, the device needs multiples of 256"));
  bad = good;
  bad.bindings[1].slice = y.part(0, 2052);
  EXPECT_THAT(refusal(bad), HasSubstr("has 2052 bytes, the device binds at most 2048"));
  for (std::size_t axis = 0; axis < 3; ++axis) {
    bad = good;
    bad.groups[axis] = 65536;
    EXPECT_THAT(refusal(bad), HasSubstr(fmt::format("65536 groups on axis {}, expected 1 to 65535",
                                                    "xyz"[axis])));
  }
}

TEST_F(KernelLimitsTest, EveryBaselineShaderIsWithinTheMinimum) {
  std::size_t within = 0;
  for (const std::string_view name : shader_names()) {
    const ShaderInterface facts = shader_interface(shader_code(name), {});
    const bool shuffles = facts.subgroup_operations != 0;
    const bool may = name.starts_with("gemm_shuffle") || name.starts_with("gemm_update") ||
                     name.starts_with("conv2d_rows") || name == "gemm_matrix" ||
                     name == "subgroup_check";
    EXPECT_EQ(shuffles, may) << name;
    if (shuffles) continue;
    EXPECT_NO_THROW(check_kernel({std::string(name), {}}, facts, minimum_limits().profile));
    ++within;
  }
  EXPECT_GT(within, 30u);
}

}  // namespace
}  // namespace vktrain::runtime
