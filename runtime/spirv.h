// The words of a SPIR-V module as instructions, and the opcodes that are read here. SPIR-V
// specification, sections 2.3 (physical layout) and 3.52 (instructions).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vktrain::runtime::spirv {

using Words = std::span<const std::uint32_t>;

constexpr std::size_t kHeaderWords = 5;

enum Opcode : std::uint32_t {
  kExecutionMode = 16,
  kCapability = 17,
  kTypeBool = 20,
  kTypeInt = 21,
  kTypeFloat = 22,
  kTypeVector = 23,
  kTypeMatrix = 24,
  kTypeArray = 28,
  kTypeStruct = 30,
  kTypePointer = 32,
  kConstantTrue = 41,
  kConstantFalse = 42,
  kConstant = 43,
  kConstantComposite = 44,
  kSpecConstantTrue = 48,
  kSpecConstantFalse = 49,
  kSpecConstant = 50,
  kSpecConstantComposite = 51,
  kSpecConstantOp = 52,
  kFunctionCall = 57,
  kVariable = 59,
  kLoad = 61,
  kStore = 62,
  kCopyMemory = 63,
  kAccessChain = 65,
  kInBoundsAccessChain = 66,
  kArrayLength = 68,
  kDecorate = 71,
  kMemberDecorate = 72,
  kCompositeExtract = 81,
  kCopyObject = 83,
  kNegate = 126,
  kAdd = 128,
  kSubtract = 130,
  kMultiply = 132,
  kDivideUnsigned = 134,
  kDivideSigned = 135,
  kModulo = 137,
  kLogicalEqual = 164,
  kLogicalNotEqual = 165,
  kLogicalOr = 166,
  kLogicalAnd = 167,
  kLogicalNot = 168,
  kSelect = 169,
  kEqual = 170,
  kNotEqual = 171,
  kGreaterUnsigned = 172,
  kGreaterSigned = 173,
  kNotLessUnsigned = 174,
  kNotLessSigned = 175,
  kLessUnsigned = 176,
  kLessSigned = 177,
  kNotGreaterUnsigned = 178,
  kNotGreaterSigned = 179,
  kShiftRight = 194,
  kShiftRightSigned = 195,
  kShiftLeft = 196,
  kOr = 197,
  kXor = 198,
  kAnd = 199,
  kNot = 200,
  kAtomicLoad = 227,
  kAtomicStore = 228,
  kAtomicExchange = 229,
  kAtomicXor = 242,  // the last one that returns a value
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
