// Shaders by name, specialization constants, and what a refused kernel says.
#include "runtime/kernel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/error.h"
#include "tests/runtime/graph_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using KernelTest = vktrain::testing::GraphTest;

TEST(Shaders, EveryEmbeddedShaderIsSpirv) {
  const auto names = shader_names();
  ASSERT_FALSE(names.empty());
  EXPECT_TRUE(std::ranges::is_sorted(names));
  for (const std::string_view name : names) {
    EXPECT_EQ(shader_code(name).front(), 0x07230203u) << name;
  }
}

TEST(Shaders, AnUnknownNameIsRefused) {
  EXPECT_THROW(shader_code("no_such_shader"), std::invalid_argument);
}

TEST(KernelKeys, HaveAText) {
  EXPECT_EQ(to_string(KernelKey{"gemm_register", {8, 1, 0}}), "gemm_register<8,1,0>");
  EXPECT_EQ(to_string(KernelKey{"add", {}}), "add<>");
}

TEST_F(KernelTest, ConstantsMakeDifferentKernels) {
  const Slice x = make_slice(std::vector<std::uint32_t>(300, 7), "x");
  const Slice y = make_slice(std::vector<std::uint32_t>(300, 0), "y");
  for (const std::uint32_t addend : {0u, 1u, 4'000'000'000u}) {
    CommandGraph graph(device());
    graph.add(elementwise("add_constant", addend, x, y));
    graph.record();
    graph.run();
    EXPECT_THAT(read<std::uint32_t>(y), Each(7 + addend));
  }
}

TEST_F(KernelTest, ConstantsThatAreNotGivenKeepTheirDefaults) {
  const Slice x = make_slice(std::vector<std::uint32_t>(300, 7), "x");
  const Slice y = make_slice(std::vector<std::uint32_t>(300, 0), "y");
  Dispatch dispatch = elementwise("add_constant", 0, x, y);
  dispatch.kernel.constants.resize(1);
  CommandGraph graph(device());
  graph.add(dispatch);
  graph.record();
  graph.run();
  EXPECT_THAT(read<std::uint32_t>(y), Each(8u));
}

// The workgroup size is a constant: with 5 groups, it decides how far the kernel reaches.
TEST_F(KernelTest, TheWorkgroupSizeIsAConstant) {
  const Slice x = make_slice(std::vector<std::uint32_t>(300, 7), "x");
  for (const std::uint32_t size : {1u, 3u, 32u}) {
    const Slice y = make_slice(std::vector<std::uint32_t>(300, 0), "y" + std::to_string(size));
    Dispatch dispatch = elementwise("add_constant", 1, x, y);
    dispatch.kernel.constants[0] = size;
    dispatch.groups = {5, 1, 1};
    CommandGraph graph(device());
    graph.add(dispatch);
    graph.record();
    graph.run();
    const auto values = read<std::uint32_t>(y);
    EXPECT_EQ(std::ranges::count(values, 8u), 5 * size);
    EXPECT_EQ(values[5 * size - 1], 8u);
  }
}

TEST_F(KernelTest, TheSameKeyIsCompiledOnce) {
  const KernelKey key{"add_constant", {64, 5}};
  EXPECT_EQ(&device().kernels().get(key), &device().kernels().get(key));
  EXPECT_NE(&device().kernels().get(key), &device().kernels().get({"add_constant", {64, 6}}));
}

TEST_F(KernelTest, AWorkgroupBeyondTheDeviceIsRefused) {
  const std::uint32_t size = device().profile().max_workgroup_size[0] + 1;
  try {
    device().kernels().get({"add_constant", {size, 1}});
    FAIL() << "compiled";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("kernel add_constant<" + std::to_string(size) + ",1>"));
    EXPECT_THAT(error.what(), HasSubstr(std::to_string(size) + "x1x1 does not fit"));
  }
  EXPECT_THROW(device().kernels().get({"add_constant", {0, 1}}), DeviceError);
}

std::vector<KernelKey> add_constant_keys(std::uint32_t first, std::uint32_t count) {
  std::vector<KernelKey> keys;
  for (std::uint32_t i = 0; i < count; ++i) keys.push_back({"add_constant", {64, first + i}});
  return keys;
}

TEST_F(KernelTest, PreparedKernelsAreThoseOfGet) {
  const std::vector<KernelKey> keys = add_constant_keys(5000, 20);
  const Kernel& before = device().kernels().get(keys[3]);
  device().kernels().prepare(keys);
  EXPECT_EQ(&device().kernels().get(keys[3]), &before);
  const Slice x = make_slice(std::vector<std::uint32_t>(300, 7), "x");
  const Slice y = make_slice(std::vector<std::uint32_t>(300, 0), "y");
  for (const std::uint32_t addend : {5000u, 5019u}) {
    CommandGraph graph(device());
    graph.add(elementwise("add_constant", addend, x, y));
    graph.record();
    graph.run();
    EXPECT_THAT(read<std::uint32_t>(y), Each(7 + addend));
  }
  device().kernels().prepare({});
}

// Whatever the order in which the threads end; and what did compile stays.
TEST_F(KernelTest, PrepareThrowsTheFirstErrorInTheOrderOfTheKeys) {
  const std::uint32_t size = device().profile().max_workgroup_size[0] + 1;
  std::vector<KernelKey> keys = add_constant_keys(6000, 12);
  keys[4].constants[0] = size + 4;
  keys[5].constants[0] = size + 5;
  keys[6].shader = "no_such_shader";
  for (int attempt = 0; attempt < 20; ++attempt) {
    try {
      device().kernels().prepare(keys);
      FAIL() << "compiled";
    } catch (const DeviceError& error) {
      EXPECT_THAT(error.what(), HasSubstr(std::to_string(size + 4) + "x1x1 does not fit"));
    }
  }
  std::swap(keys[4], keys[6]);
  EXPECT_THROW(device().kernels().prepare(keys), std::invalid_argument);
}

TEST_F(KernelTest, TryPrepareTellsWhyNot) {
  const std::uint32_t size = device().profile().max_workgroup_size[0] + 1;
  std::string why;
  EXPECT_TRUE(device().kernels().try_prepare({"add_constant", {64, 7000}}, &why));
  EXPECT_EQ(why, "");
  EXPECT_FALSE(device().kernels().try_prepare({"add_constant", {size, 1}}, &why));
  EXPECT_THAT(why, HasSubstr("does not fit"));
  EXPECT_FALSE(device().kernels().try_prepare({"add_constant", {size, 1}}, nullptr));
  EXPECT_THROW(device().kernels().try_prepare({"no_such_shader", {}}, &why), std::invalid_argument);
}

TEST_F(KernelTest, UnknownAndRepeatedShadersAreRefused) {
  EXPECT_THROW(device().kernels().get({"no_such_shader", {}}), std::invalid_argument);
  EXPECT_THROW(device().kernels().add_shader("add_constant", {}), std::invalid_argument);
}

}  // namespace
}  // namespace vktrain::runtime
