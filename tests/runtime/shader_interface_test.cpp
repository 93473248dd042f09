// Facts read from SPIR-V, of the test shaders and of every shader of the program.
#include "runtime/shader_interface.h"

#include <gtest/gtest.h>

#include <vector>

#include "runtime/kernel.h"
#include "tests/runtime/test_shaders.h"

namespace vktrain::runtime {
namespace {

using Size = std::array<std::uint32_t, 3>;
using Words = std::vector<std::uint32_t>;
using vktrain::testing::test_shader;

TEST(ShaderInterface, AppliesConstantsToTheWorkgroupSize) {
  const auto code = test_shader("sum_eight");
  const Words constants = {3, 5, 2, 1};
  EXPECT_EQ(shader_interface(code, constants).workgroup_size, (Size{3, 5, 2}));
  EXPECT_EQ(shader_interface(code, std::span(constants).first(2)).workgroup_size, (Size{3, 5, 1}));
  EXPECT_EQ(shader_interface(code, {}).workgroup_size, (Size{1, 1, 1}));
}

TEST(ShaderInterface, KnowsTheBindings) {
  const ShaderInterface add = shader_interface(test_shader("add_constant"), {});
  EXPECT_EQ(add.used_bindings, 0b11u);
  EXPECT_EQ(add.written_bindings, 0b10u);
  const ShaderInterface sum = shader_interface(test_shader("sum_eight"), {});
  EXPECT_EQ(sum.used_bindings, 0b1111'1111u);
  EXPECT_EQ(sum.written_bindings, 0b1000'0000u);
}

TEST(ShaderInterface, TellsTexelsFromStorage) {
  const ShaderInterface facts = shader_interface(test_shader("sum_texels"), {});
  EXPECT_EQ(facts.used_bindings, 0b10u);
  EXPECT_EQ(facts.written_bindings, 0b10u);
  EXPECT_EQ(facts.texel_bindings, 0b1u);
}

TEST(ShaderInterface, CountsAtomicsAsWritesAndLengthsAsUses) {
  const ShaderInterface facts = shader_interface(test_shader("atomic_count"), {});
  EXPECT_EQ(facts.used_bindings, 0b101u);
  EXPECT_EQ(facts.written_bindings, 0b100u);
}

// 2 * ROWS * (COLUMNS / 4 + 1) vec4 and a structure of 16 bytes.
TEST(ShaderInterface, EvaluatesSharedMemory) {
  const auto code = test_shader("shared_array");
  EXPECT_EQ(shader_interface(code, {}).shared_memory, 2u * 4 * 5 * 16 + 16);
  EXPECT_EQ(shader_interface(code, Words{64, 3, 31}).shared_memory, 2u * 3 * 8 * 16 + 16);
  // 2^31 vec4: the sizes need 64 bits.
  EXPECT_EQ(shader_interface(code, Words{64, 0x40000000, 64}).shared_memory,
            (std::uint64_t{1} << 35) + 16);
  EXPECT_EQ(shader_interface(test_shader("sum_eight"), {}).shared_memory, 0u);
}

TEST(ShaderInterface, KnowsPushConstantsAndSubgroupOperations) {
  EXPECT_EQ(shader_interface(test_shader("add_constant"), {}).push_constants, 4u);
  EXPECT_EQ(shader_interface(test_shader("wide_push"), {}).push_constants, 256u);
  EXPECT_EQ(shader_interface(test_shader("add_constant"), {}).subgroup_operations, 0u);
  EXPECT_EQ(shader_interface(test_shader("subgroup_shuffle"), {}).subgroup_operations,
            ShaderInterface::kSubgroupBasic | ShaderInterface::kSubgroupShuffle);
}

TEST(ShaderInterface, EveryShaderIsWithinTheFloor) {
  for (const std::string_view name : shader_names()) {
    const ShaderInterface facts = shader_interface(shader_code(name), {});
    ASSERT_TRUE(facts.workgroup_size.has_value()) << name;
    const auto [x, y, z] = *facts.workgroup_size;
    EXPECT_LE(x * y * z, 128u) << name;
    EXPECT_NE(facts.written_bindings, 0u) << name << " has no result";
    EXPECT_LT(facts.used_bindings, 1u << kMaxBindings) << name;
  }
}

// OpExecutionMode LocalSize 4 2 1, without a built-in.
TEST(ShaderInterface, ReadsTheExecutionMode) {
  const Words code = {0x07230203, 0x10300, 0, 10, 0, (6u << 16) | 16, 1, 17, 4, 2, 1};
  EXPECT_EQ(shader_interface(code, {}).workgroup_size, (Size{4, 2, 1}));
}

TEST(ShaderInterface, SurvivesBrokenModules) {
  const auto whole = test_shader("sum_eight");
  EXPECT_FALSE(shader_interface({}, {}).workgroup_size.has_value());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    // A copy of its own, so that a sanitizer sees a read beyond the end.
    const Words part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    shader_interface(part, {});
  }
  Words words(whole.begin(), whole.end());
  for (std::size_t at = 0; at < words.size(); ++at) {
    const std::uint32_t word = words[at];
    for (const std::uint32_t bad : {0u, ~0u, word ^ 0x10000u}) {
      words[at] = bad;
      shader_interface(words, {});
    }
    words[at] = word;
  }
  words[5] = 0;  // an instruction of no words would be read for ever
  EXPECT_EQ(shader_interface(words, {}).used_bindings, 0u);
}

}  // namespace
}  // namespace vktrain::runtime
