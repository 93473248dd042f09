// Specialization constants become plain ones: of the test shaders, of every shader of the program
// and of modules made by hand.
#include "runtime/shader_specialization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string_view>
#include <vector>

#include "runtime/kernel.h"
#include "runtime/shader_interface.h"
#include "tests/runtime/test_shaders.h"

namespace vktrain::runtime {
namespace {

using ::testing::ElementsAreArray;
using Words = std::vector<std::uint32_t>;
using vktrain::testing::test_shader;

// What of a module is left to specialise: ids of specialization constants, and opcodes of what they
// and constants made from them are.
std::multiset<std::uint32_t> specialization(std::span<const std::uint32_t> code) {
  constexpr std::uint32_t kDecorate = 71, kSpecId = 1;
  std::multiset<std::uint32_t> found;
  for (std::size_t at = 5; at < code.size(); at += code[at] >> 16) {
    const std::uint32_t opcode = code[at] & 0xffff;
    if (opcode >= 48 && opcode <= 52) found.insert(opcode);
    if (opcode == kDecorate && code[at + 2] == kSpecId) found.insert(1000 + code[at + 3]);
  }
  return found;
}

void expect_same_interface(std::span<const std::uint32_t> code, const Words& constants) {
  const ShaderInterface expected = shader_interface(code, constants);
  const ShaderInterface found = shader_interface(specialized_shader(code, constants), {});
  EXPECT_EQ(found.workgroup_size, expected.workgroup_size);
  EXPECT_EQ(found.used_bindings, expected.used_bindings);
  EXPECT_EQ(found.written_bindings, expected.written_bindings);
  EXPECT_EQ(found.shared_memory, expected.shared_memory);
  EXPECT_EQ(found.push_constants, expected.push_constants);
  EXPECT_TRUE(expected.workgroup_size && expected.shared_memory);
}

TEST(ShaderSpecialization, LeavesNothingOfAnyShader) {
  std::size_t specialised = 0;
  for (const std::string_view name : shader_names()) {
    SCOPED_TRACE(name);
    const auto code = shader_code(name);
    specialised += specialization(code).empty() ? 0 : 1;
    for (const Words& constants : {Words{}, Words{8, 4, 2}, Words(24, 16)}) {
      EXPECT_TRUE(specialization(specialized_shader(code, constants)).empty());
      expect_same_interface(code, constants);
    }
  }
  EXPECT_GT(specialised, 50u);
}

TEST(ShaderSpecialization, SizesGroupsAndSharedArrays) {
  const auto sum = test_shader("sum_eight");
  const auto array = test_shader("shared_array");
  expect_same_interface(sum, {3, 5, 2, 1});
  expect_same_interface(sum, {3, 5});
  expect_same_interface(array, {64, 3, 31});
  const Words code = specialized_shader(array, Words{64, 3, 31});
  EXPECT_TRUE(specialization(code).empty());
  EXPECT_EQ(shader_interface(code, {}).shared_memory, 2u * 3 * 8 * 16 + 16);
  EXPECT_EQ(shader_interface(code, Words{64, 9, 9}).shared_memory, 2u * 3 * 8 * 16 + 16);
}

std::uint32_t word(std::uint32_t count, std::uint32_t opcode) { return count << 16 | opcode; }

// Header, then the parts.
Words module_of(std::initializer_list<Words> parts) {
  Words code = {0x07230203, 0x00010300, 0, 99, 0};
  for (const Words& part : parts) code.insert(code.end(), part.begin(), part.end());
  return code;
}

// Types: 1 bool, 2 int, 3 a vector.
const Words kTypes = {word(2, 20), 1, word(4, 21), 2, 32, 1, word(4, 23), 3, 2, 2};

TEST(ShaderSpecialization, MakesBooleansNumbersCompositesAndComputedOnes) {
  const Words code = module_of({{word(4, 71), 10, 1, 0},
                                {word(4, 71), 11, 1, 1},
                                {word(4, 71), 12, 1, 2},
                                kTypes,
                                {word(3, 48), 1, 10},  // true
                                {word(3, 49), 1, 11},  // false
                                {word(4, 50), 2, 12, 5},
                                {word(6, 52), 2, 13, 132, 12, 12},  // 12 * 12
                                {word(6, 52), 1, 14, 170, 12, 13},  // 12 == 13
                                {word(5, 51), 3, 15, 12, 13}});
  EXPECT_THAT(specialized_shader(code, Words{0, 2, 7}),
              ElementsAreArray(module_of({kTypes,
                                          {word(3, 42), 1, 10},
                                          {word(3, 41), 1, 11},
                                          {word(4, 43), 2, 12, 7},
                                          {word(4, 43), 2, 13, 49},
                                          {word(3, 42), 1, 14},
                                          {word(5, 44), 3, 15, 12, 13}})));
  EXPECT_THAT(specialized_shader(code, {}),
              ElementsAreArray(module_of({kTypes,
                                          {word(3, 41), 1, 10},
                                          {word(3, 42), 1, 11},
                                          {word(4, 43), 2, 12, 5},
                                          {word(4, 43), 2, 13, 25},
                                          {word(3, 42), 1, 14},
                                          {word(5, 44), 3, 15, 12, 13}})));
}

// Constants of 64 and 16 bits, an unknown operation, one of 16 bits and the composites of them;
// what is decorated otherwise.
TEST(ShaderSpecialization, LeavesWhatItDoesNotKnow) {
  const Words code = module_of({{word(4, 71), 10, 1, 0},
                                {word(4, 71), 20, 1, 1},
                                {word(4, 71), 12, 30, 3},
                                kTypes,
                                {word(4, 21), 4, 64, 0},
                                {word(4, 23), 5, 4, 2},
                                {word(4, 21), 6, 16, 0},
                                {word(5, 50), 4, 10, 5, 0},
                                {word(5, 51), 5, 11, 10, 10},
                                {word(5, 52), 2, 12, 113, 10},  // narrowed
                                {word(5, 51), 3, 13, 12, 12},
                                {word(5, 51), 3, 14, 13, 12},
                                {word(4, 50), 6, 20, 0},
                                {word(6, 52), 6, 21, 130, 20, 20},
                                {word(6, 52), 1, 22, 170, 20, 20}});
  EXPECT_THAT(specialized_shader(code, Words{3, 3}), ElementsAreArray(code));
}

TEST(ShaderSpecialization, ReturnsMalformedModulesAsTheyAre) {
  EXPECT_TRUE(specialized_shader({}, {}).empty());
  const auto whole = test_shader("shared_array");
  Words words(whole.begin(), whole.end());
  words[5] = 0;  // an instruction of no words
  EXPECT_THAT(specialized_shader(words, Words{64, 3, 31}), ElementsAreArray(words));
  words[5] = 0xffff0001;  // longer than the module
  EXPECT_THAT(specialized_shader(words, Words{64, 3, 31}), ElementsAreArray(words));
  words[5] = whole[5];
  words[0] = 0;  // no SPIR-V
  EXPECT_THAT(specialized_shader(words, Words{64, 3, 31}), ElementsAreArray(words));
}

// Whatever a word is: the result still is instructions up to its end, or the module itself.
TEST(ShaderSpecialization, OfDamagedModulesAreInstructions) {
  const auto whole = test_shader("shared_array");
  Words words(whole.begin(), whole.end());
  for (std::size_t at = 0; at < words.size(); ++at) {
    const std::uint32_t good = words[at];
    for (const std::uint32_t bad : {0u, ~0u, good ^ 0x10000u}) {
      words[at] = bad;
      const Words code = specialized_shader(words, Words{64, 3, 31});
      std::size_t end = 5;
      while (end < code.size() && code[end] >> 16 != 0) end += code[end] >> 16;
      EXPECT_TRUE(end == code.size() || code == words) << at;
    }
    words[at] = good;
  }
}

}  // namespace
}  // namespace vktrain::runtime
