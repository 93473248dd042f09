// SPIR-V specification, section 3.6 (LocalSize) and the WorkgroupSize built-in, which overrides it
// and is how glslang writes local_size_x_id for Vulkan 1.1.
#include "runtime/spirv_workgroup.h"

#include <unordered_map>

namespace vktrain::runtime {
namespace {

constexpr std::uint32_t kMagic = 0x07230203;
constexpr std::size_t kHeaderWords = 5;

enum Opcode : std::uint32_t {
  kExecutionMode = 16,
  kConstant = 43,
  kConstantComposite = 44,
  kSpecConstant = 50,
  kSpecConstantComposite = 51,
  kDecorate = 71,
};
constexpr std::uint32_t kModeLocalSize = 17;
constexpr std::uint32_t kDecorationSpecId = 1;
constexpr std::uint32_t kDecorationBuiltIn = 11;
constexpr std::uint32_t kBuiltInWorkgroupSize = 25;

using Size = std::array<std::uint32_t, 3>;

struct Facts {
  std::optional<Size> local_size;
  std::uint32_t builtin = 0;                                // id of the WorkgroupSize constant
  std::unordered_map<std::uint32_t, std::uint32_t> spec;    // result id -> specialization id
  std::unordered_map<std::uint32_t, std::uint32_t> values;  // result id -> 32-bit value
  std::unordered_map<std::uint32_t, Size> composites;       // result id -> three constant ids
};

// `words` is one instruction with its operands.
void read_instruction(std::span<const std::uint32_t> words, Facts& facts) {
  const std::size_t count = words.size();
  switch (words[0] & 0xffff) {
    case kExecutionMode:
      if (count >= 6 && words[2] == kModeLocalSize)
        facts.local_size = {words[3], words[4], words[5]};
      break;
    case kDecorate:
      if (count >= 4 && words[2] == kDecorationSpecId) facts.spec[words[1]] = words[3];
      if (count >= 4 && words[2] == kDecorationBuiltIn && words[3] == kBuiltInWorkgroupSize) {
        facts.builtin = words[1];
      }
      break;
    case kConstant:
    case kSpecConstant:
      if (count == 4) facts.values[words[2]] = words[3];
      break;
    case kConstantComposite:
    case kSpecConstantComposite:
      if (count == 6) facts.composites[words[2]] = {words[3], words[4], words[5]};
      break;
    default:
      break;
  }
}

}  // namespace

std::optional<Size> workgroup_size(std::span<const std::uint32_t> code,
                                   std::span<const std::uint32_t> constants) {
  if (code.size() < kHeaderWords || code[0] != kMagic) return std::nullopt;
  Facts facts;
  for (std::size_t at = kHeaderWords; at < code.size();) {
    const std::size_t count = code[at] >> 16;
    if (count == 0 || count > code.size() - at) return std::nullopt;
    read_instruction(code.subspan(at, count), facts);
    at += count;
  }
  if (facts.builtin == 0) return facts.local_size;
  const auto composite = facts.composites.find(facts.builtin);
  if (composite == facts.composites.end()) return std::nullopt;
  Size size{};
  for (std::size_t axis = 0; axis < size.size(); ++axis) {
    const std::uint32_t id = composite->second[axis];
    const auto value = facts.values.find(id);
    if (value == facts.values.end()) return std::nullopt;
    const auto spec = facts.spec.find(id);
    const bool given = spec != facts.spec.end() && spec->second < constants.size();
    size[axis] = given ? constants[spec->second] : value->second;
  }
  return size;
}

}  // namespace vktrain::runtime
