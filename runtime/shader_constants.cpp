#include "runtime/shader_constants.h"

#include "runtime/spirv.h"

namespace vktrain::runtime {
namespace {

using namespace spirv;

std::optional<std::uint32_t> unary(std::uint32_t operation, std::uint32_t a) {
  switch (operation) {
    case kNegate:
      return 0u - a;
    case kNot:
      return ~a;
    case kLogicalNot:
      return a == 0 ? 1u : 0u;
    default:
      return std::nullopt;
  }
}

std::optional<bool> comparison(std::uint32_t operation, std::uint32_t a, std::uint32_t b) {
  const auto x = static_cast<std::int32_t>(a);
  const auto y = static_cast<std::int32_t>(b);
  switch (operation) {
    case kLogicalEqual:
    case kEqual:
      return a == b;
    case kLogicalNotEqual:
    case kNotEqual:
      return a != b;
    case kLogicalOr:
      return (a | b) != 0;
    case kLogicalAnd:
      return a != 0 && b != 0;
    case kGreaterUnsigned:
      return a > b;
    case kGreaterSigned:
      return x > y;
    case kNotLessUnsigned:
      return a >= b;
    case kNotLessSigned:
      return x >= y;
    case kLessUnsigned:
      return a < b;
    case kLessSigned:
      return x < y;
    case kNotGreaterUnsigned:
      return a <= b;
    case kNotGreaterSigned:
      return x <= y;
    default:
      return std::nullopt;
  }
}

std::optional<std::uint32_t> divided(std::uint32_t operation, std::uint32_t a, std::uint32_t b) {
  if (b == 0) return std::nullopt;
  if (operation == kDivideUnsigned) return a / b;
  if (operation == kModulo) return a % b;
  // In 64 bits, where the least number divided by -1 fits.
  const std::int64_t x = static_cast<std::int32_t>(a);
  const std::int64_t y = static_cast<std::int32_t>(b);
  return static_cast<std::uint32_t>(x / y);
}

std::optional<std::uint32_t> shifted(std::uint32_t operation, std::uint32_t a, std::uint32_t b) {
  if (b > 31) return std::nullopt;
  if (operation == kShiftLeft) return a << b;
  if (operation == kShiftRight) return a >> b;
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(a) >> b);
}

std::optional<std::uint32_t> binary(std::uint32_t operation, std::uint32_t a, std::uint32_t b) {
  switch (operation) {
    case kAdd:
      return a + b;
    case kSubtract:
      return a - b;
    case kMultiply:
      return a * b;
    case kDivideUnsigned:
    case kDivideSigned:
    case kModulo:
      return divided(operation, a, b);
    case kShiftLeft:
    case kShiftRight:
    case kShiftRightSigned:
      return shifted(operation, a, b);
    case kOr:
      return a | b;
    case kXor:
      return a ^ b;
    case kAnd:
      return a & b;
    default:
      return comparison(operation, a, b);
  }
}

}  // namespace

void ShaderConstants::read(std::span<const std::uint32_t> words) {
  const std::size_t count = words.size();
  switch (opcode(words)) {
    case kDecorate:
      if (count == 4 && words[2] == kDecorationSpecId) spec_[words[1]] = words[3];
      break;
    case kConstantTrue:
    case kSpecConstantTrue:
      if (count == 3) add(words[2], 1, true);
      break;
    case kConstantFalse:
    case kSpecConstantFalse:
      if (count == 3) add(words[2], 0, true);
      break;
    case kConstant:
    case kSpecConstant:
      if (count == 4) add(words[2], words[3], false);
      break;
    case kConstantComposite:
    case kSpecConstantComposite:
      if (count >= 3) composites_[words[2]].assign(words.begin() + 3, words.end());
      break;
    case kSpecConstantOp:
      if (count < 5) break;
      if (const auto result = computed(words)) values_[words[2]] = *result;
      break;
    default:
      break;
  }
}

void ShaderConstants::add(std::uint32_t id, std::uint32_t value, bool boolean) {
  if (const auto spec = spec_.find(id); spec != spec_.end() && spec->second < given_.size()) {
    value = given_[spec->second];
    if (boolean) value = value != 0 ? 1 : 0;
  }
  values_[id] = value;
}

// Words: the instruction, its type, its id, the operation, the operands.
std::optional<std::uint32_t> ShaderConstants::computed(std::span<const std::uint32_t> words) const {
  const std::uint32_t operation = words[3];
  const auto operands = words.subspan(4);
  if (operation == kCompositeExtract) {
    const auto own = parts(operands[0]);
    if (operands.size() != 2 || operands[1] >= own.size()) return std::nullopt;
    return value(own[operands[1]]);
  }
  std::vector<std::uint32_t> values;
  for (const std::uint32_t id : operands) {
    const auto known = value(id);
    if (!known) return std::nullopt;
    values.push_back(*known);
  }
  if (operation == kSelect && values.size() == 3) return values[0] != 0 ? values[1] : values[2];
  if (values.size() == 2) return binary(operation, values[0], values[1]);
  if (values.size() == 1) return unary(operation, values[0]);
  return std::nullopt;
}

std::optional<std::uint32_t> ShaderConstants::value(std::uint32_t id) const {
  const auto found = values_.find(id);
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

std::span<const std::uint32_t> ShaderConstants::parts(std::uint32_t id) const {
  const auto found = composites_.find(id);
  if (found == composites_.end()) return {};
  return found->second;
}

}  // namespace vktrain::runtime
