// Every shader of the program stays within what Vulkan 1.1 gives without a feature bit: version,
// capabilities, extensions, memory model, widths of numbers. SPIR-V specification, sections 2.3,
// 3.31 (capabilities) and 3.49; Vulkan specification, "Capabilities".
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/kernel.h"
#include "tests/runtime/test_shaders.h"

namespace vktrain::runtime {
namespace {

using ::testing::IsSubsetOf;
using Words = std::span<const std::uint32_t>;

enum Capability : std::uint32_t {
  kShader = 1,
  kFloat64 = 10,
  kSampledBuffer = 46,
  kGroupNonUniform = 61,
  kGroupNonUniformShuffle = 65,
};

// What a module may declare beside Shader, by its name or the beginning of it.
struct Exception {
  std::string_view modules;
  std::set<std::uint32_t> capabilities;
  std::string_view reason;
};
const std::set<std::uint32_t> kShuffleKernel = {kSampledBuffer, kGroupNonUniform,
                                                kGroupNonUniformShuffle};

const Exception kExceptions[] = {
    {"gemm_shuffle_", kShuffleKernel,
     "texel buffers, which every Vulkan device has (no feature bit); shuffles, which the profile "
     "must list: gemm_candidates offers it to no other device"},
    {"conv2d_rows", kShuffleKernel, "as gemm_shuffle_: conv2d_rows::supports asks the profile"},
    {"gemm_update_", kShuffleKernel, "as gemm_shuffle_: GemmUpdate::supports asks the profile"},
    {"adagrad_texels",
     {kSampledBuffer},
     "as gemm_shuffle_: reads_texels (nn/lowering.h) asks the profile"},
    {"adam_texels", {kSampledBuffer}, "the same"},
    {"rmsprop_texels", {kSampledBuffer}, "the same"},
    {"sgd_texels", {kSampledBuffer}, "the same"},
    {"max_pool2d_tiles_forward_texels", {kSampledBuffer}, "the same"},
    {"max_pool2d_tiles_backward_texels", {kSampledBuffer}, "the same"},
    {"activation_forward_texels", {kSampledBuffer}, "the same"},
    {"activation_backward_texels", {kSampledBuffer}, "the same"},
    {"add_texels", {kSampledBuffer}, "the same"},
    {"batch_norm_eval_texels", {kSampledBuffer}, "the same"},
    {"batch_norm_forward_texels", {kSampledBuffer}, "the same"},
    {"batch_norm_backward_texels", {kSampledBuffer}, "the same"},
    {"dropout_texels", {kSampledBuffer}, "the same"},
    {"dropout2d_texels", {kSampledBuffer}, "the same"},
    {"batch_norm2d_backward_partial_texels", {kSampledBuffer}, "the same"},
    {"linear_cross_entropy_texels", {kSampledBuffer}, "the same"},
    {"batch_norm2d_apply_texels", {kSampledBuffer}, "the same"},
    {"batch_norm2d_backward_texels", {kSampledBuffer}, "the same"},
    {"batch_norm2d_partial_texels", {kSampledBuffer}, "the same"},
    {"batch_norm2d_pooled_apply_texels", {kSampledBuffer}, "the same"},
    {"batch_norm2d_pooled_backward_texels", {kSampledBuffer}, "the same"},
    {"batch_norm2d_pooled_backward_partial_texels", {kSampledBuffer}, "the same"},
    {"subgroup_check",
     {kGroupNonUniform, kGroupNonUniformShuffle},
     "shuffles: it runs where the profile lists them, to see whether they work"},
};

// Offered by gemm_candidates only where the profile lists matrix units, which asks for all that it
// needs (runtime/cooperative_matrix.h); left out of builds whose glslang does not know them.
constexpr std::string_view kBeyondTheFloor = "gemm_matrix";

std::vector<std::string_view> floor_modules() {
  std::vector<std::string_view> names = shader_names();
  std::erase(names, kBeyondTheFloor);
  return names;
}

// What a module declares, and the numbers that it computes with.
struct Declarations {
  std::uint32_t version = 0;  // 0x00010300: 1.3
  std::set<std::uint32_t> capabilities;
  std::set<std::string> extensions;    // of SPIR-V
  std::set<std::string> instructions;  // sets of extended ones
  std::set<std::uint32_t> widths;      // of integers and floats, in bits
  std::set<std::uint32_t> modes;       // of execution
  std::set<std::uint32_t> sets;        // of descriptors
  std::pair<std::uint32_t, std::uint32_t> memory_model;
};

std::string literal(Words words) {
  return {reinterpret_cast<const char*>(words.data())};  // ends with a zero byte
}

void read_instruction(Words words, Declarations& found) {
  constexpr std::uint32_t kDescriptorSet = 34;
  switch (words[0] & 0xffff) {
    case 10:  // OpExtension
      found.extensions.insert(literal(words.subspan(1)));
      break;
    case 11:  // OpExtInstImport
      found.instructions.insert(literal(words.subspan(2)));
      break;
    case 14:  // OpMemoryModel
      found.memory_model = {words[1], words[2]};
      break;
    case 16:   // OpExecutionMode
    case 331:  // OpExecutionModeId
      found.modes.insert(words[2]);
      break;
    case 17:  // OpCapability
      found.capabilities.insert(words[1]);
      break;
    case 21:  // OpTypeInt
    case 22:  // OpTypeFloat
      found.widths.insert(words[2]);
      break;
    case 71:  // OpDecorate
      if (words[2] == kDescriptorSet) found.sets.insert(words[3]);
      break;
    default:
      break;
  }
}

Declarations declarations_of(Words code) {
  constexpr std::size_t kHeaderWords = 5;
  Declarations found;
  found.version = code[1];
  for (std::size_t at = kHeaderWords; at < code.size(); at += code[at] >> 16) {
    read_instruction(code.subspan(at, code[at] >> 16), found);
  }
  return found;
}

std::set<std::uint32_t> allowed(std::string_view module) {
  std::set<std::uint32_t> capabilities = {kShader};
  for (const Exception& exception : kExceptions) {
    if (module.starts_with(exception.modules))
      capabilities.insert(exception.capabilities.begin(), exception.capabilities.end());
  }
  return capabilities;
}

TEST(SpirvHygiene, ModulesDeclareNothingBeyondTheFloor) {
  for (const std::string_view name : floor_modules()) {
    const Declarations found = declarations_of(shader_code(name));
    EXPECT_THAT(found.capabilities, IsSubsetOf(allowed(name))) << name;
    EXPECT_TRUE(found.capabilities.contains(kShader)) << name;
    EXPECT_TRUE(found.extensions.empty()) << name << " needs " << *found.extensions.begin();
    EXPECT_THAT(found.instructions, IsSubsetOf({"GLSL.std.450"})) << name;
  }
}

TEST(SpirvHygiene, ModulesAreOfAVersionAndModelOfVulkan11) {
  constexpr std::uint32_t kVersion13 = 0x00010300;
  constexpr std::uint32_t kLogical = 0, kGlsl450 = 1;
  for (const std::string_view name : floor_modules()) {
    const Declarations found = declarations_of(shader_code(name));
    EXPECT_LE(found.version, kVersion13) << name;
    EXPECT_EQ(found.memory_model, std::pair(kLogical, kGlsl450)) << name;
    // LocalSize, which the constant of the workgroup's size overrides. LocalSizeId would need
    // maintenance4.
    EXPECT_EQ(found.modes, (std::set<std::uint32_t>{17})) << name;
    EXPECT_EQ(found.sets, (std::set<std::uint32_t>{0})) << name;
  }
}

TEST(SpirvHygiene, NumbersHave32Bits) {
  for (const std::string_view name : floor_modules()) {
    EXPECT_EQ(declarations_of(shader_code(name)).widths, (std::set<std::uint32_t>{32})) << name;
  }
}

TEST(SpirvHygiene, EveryExceptionIsNeeded) {
  for (const Exception& exception : kExceptions) {
    std::set<std::uint32_t> used;
    for (const std::string_view name : floor_modules()) {
      if (name.starts_with(exception.modules))
        used.merge(declarations_of(shader_code(name)).capabilities);
    }
    EXPECT_THAT(exception.capabilities, IsSubsetOf(used)) << exception.modules;
  }
}

TEST(SpirvHygiene, MatrixUnitsNeedWhatTheProfileAsksFor) {
  if (!has_shader(kBeyondTheFloor)) GTEST_SKIP() << "the GLSL compiler does not know matrix units";
  constexpr std::uint32_t kFloat16 = 9, kVulkanMemoryModel = 5345, kCooperativeMatrix = 6022;
  const Declarations found = declarations_of(shader_code(kBeyondTheFloor));
  EXPECT_LE(found.version, 0x00010300u);
  EXPECT_EQ(found.capabilities, (std::set<std::uint32_t>{kShader, kFloat16, kGroupNonUniform,
                                                         kVulkanMemoryModel, kCooperativeMatrix}));
  EXPECT_EQ(found.extensions,
            (std::set<std::string>{"SPV_KHR_cooperative_matrix", "SPV_KHR_vulkan_memory_model"}));
}

// The walk finds what it looks for.
TEST(SpirvHygiene, AModuleBeyondTheFloorIsSeen) {
  for (const EmbeddedFile& file : vktrain::testing::test_shaders()) {
    if (file.name != "beyond_floor") continue;
    const Declarations found = declarations_of(
        {reinterpret_cast<const std::uint32_t*>(file.bytes.data()), file.bytes.size() / 4});
    EXPECT_TRUE(found.capabilities.contains(kFloat64));
    EXPECT_TRUE(found.capabilities.contains(kGroupNonUniform));
    EXPECT_TRUE(found.widths.contains(64));
    EXPECT_TRUE(found.sets.contains(1));
    EXPECT_EQ(found.extensions, (std::set<std::string>{"SPV_EXT_shader_atomic_float_add"}));
    return;
  }
  FAIL() << "the test shader beyond_floor is not there";
}

}  // namespace
}  // namespace vktrain::runtime
