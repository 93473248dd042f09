// The words of a SPIR-V module as instructions, and the opcodes of its constants. SPIR-V
// specification, sections 2.3 (physical layout) and 3.52.7 (constants).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vktrain::runtime::spirv {

using Words = std::span<const std::uint32_t>;

constexpr std::size_t kHeaderWords = 5;

enum Opcode : std::uint32_t {
  kTypeBool = 20,
  kConstantTrue = 41,
  kConstantFalse = 42,
  kConstant = 43,
  kConstantComposite = 44,
  kSpecConstantTrue = 48,
  kSpecConstantFalse = 49,
  kSpecConstant = 50,
  kSpecConstantComposite = 51,
  kSpecConstantOp = 52,
  kDecorate = 71,
};
constexpr std::uint32_t kDecorationSpecId = 1;

inline std::uint32_t opcode(Words instruction) { return instruction[0] & 0xffff; }

// Calls see(words) for each instruction, its own word included, up to the end or to one that is not
// well-formed: then, and without a header, it returns false.
template <typename See>
bool for_each_instruction(Words code, See see) {
  constexpr std::uint32_t kMagic = 0x07230203;
  if (code.size() < kHeaderWords || code[0] != kMagic) return false;
  for (std::size_t at = kHeaderWords; at < code.size();) {
    const std::size_t count = code[at] >> 16;
    if (count == 0 || count > code.size() - at) return false;
    see(code.subspan(at, count));
    at += count;
  }
  return true;
}

}  // namespace vktrain::runtime::spirv
