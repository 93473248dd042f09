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

TEST_F(KernelTest, UnknownAndRepeatedShadersAreRefused) {
  EXPECT_THROW(device().kernels().get({"no_such_shader", {}}), std::invalid_argument);
  EXPECT_THROW(device().kernels().add_shader("add_constant", {}), std::invalid_argument);
}

}  // namespace
}  // namespace vktrain::runtime
