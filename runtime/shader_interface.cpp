// One walk over the instructions. SPIR-V specification, section 3.6 (LocalSize), the WorkgroupSize
// built-in, which overrides it and is how glslang writes local_size_x_id for Vulkan 1.1, and
// section 3.52 for the operands.
#include "runtime/shader_interface.h"

#include <unordered_map>

#include "runtime/kernel.h"

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
  kFunctionCall = 57,
  kVariable = 59,
  kLoad = 61,
  kStore = 62,
  kCopyMemory = 63,
  kAccessChain = 65,
  kInBoundsAccessChain = 66,
  kArrayLength = 68,
  kDecorate = 71,
  kCopyObject = 83,
  kAtomicLoad = 227,
  kAtomicStore = 228,
  kAtomicExchange = 229,
  kAtomicXor = 242,  // the last one that returns a value
};
constexpr std::uint32_t kModeLocalSize = 17;
constexpr std::uint32_t kDecorationSpecId = 1;
constexpr std::uint32_t kDecorationBuiltIn = 11;
constexpr std::uint32_t kDecorationBinding = 33;
constexpr std::uint32_t kBuiltInWorkgroupSize = 25;

using Size = std::array<std::uint32_t, 3>;
using Words = std::span<const std::uint32_t>;

class Reader {
 public:
  // `words` is one whole instruction, its own word included.
  void read(Words words) {
    read_declaration(words);
    read_access(words);
  }
  ShaderInterface result(Words constants) const;

 private:
  void read_declaration(Words words);
  void read_access(Words words);
  void use(std::uint32_t pointer, bool writes);
  std::optional<Size> workgroup_size(Words constants) const;

  std::optional<Size> local_size_;
  std::uint32_t builtin_ = 0;                                  // id of the WorkgroupSize constant
  std::unordered_map<std::uint32_t, std::uint32_t> spec_;      // result id -> specialization id
  std::unordered_map<std::uint32_t, std::uint32_t> values_;    // result id -> 32-bit value
  std::unordered_map<std::uint32_t, Size> composites_;         // result id -> three constant ids
  std::unordered_map<std::uint32_t, std::uint32_t> pointers_;  // variable or chain -> binding
  std::uint32_t used_ = 0;
  std::uint32_t written_ = 0;
};

void Reader::read_declaration(Words words) {
  const std::size_t count = words.size();
  switch (words[0] & 0xffff) {
    case kExecutionMode:
      if (count == 6 && words[2] == kModeLocalSize) local_size_ = {words[3], words[4], words[5]};
      break;
    case kDecorate:
      if (count != 4) break;
      if (words[2] == kDecorationSpecId) spec_[words[1]] = words[3];
      if (words[2] == kDecorationBinding) pointers_[words[1]] = words[3];
      if (words[2] == kDecorationBuiltIn && words[3] == kBuiltInWorkgroupSize) builtin_ = words[1];
      break;
    case kConstant:
    case kSpecConstant:
      if (count == 4) values_[words[2]] = words[3];
      break;
    case kConstantComposite:
    case kSpecConstantComposite:
      if (count == 6) composites_[words[2]] = {words[3], words[4], words[5]};
      break;
    default:
      break;
  }
}

void Reader::read_access(Words words) {
  const std::uint32_t opcode = words[0] & 0xffff;
  const std::size_t count = words.size();
  switch (opcode) {
    case kAccessChain:
    case kInBoundsAccessChain:
    case kCopyObject:
      if (count < 4) break;
      if (const auto base = pointers_.find(words[3]); base != pointers_.end()) {
        const std::uint32_t binding = base->second;  // the insertion may move `base`
        pointers_[words[2]] = binding;
      }
      break;
    case kLoad:
    case kArrayLength:
    case kAtomicLoad:
      if (count >= 4) use(words[3], false);
      break;
    case kStore:
    case kAtomicStore:
      if (count >= 3) use(words[1], true);
      break;
    case kCopyMemory:
      if (count < 3) break;
      use(words[1], true);
      use(words[2], false);
      break;
    case kFunctionCall:
      for (std::size_t i = 4; i < count; ++i) use(words[i], false);
      break;
    default:
      if (opcode >= kAtomicExchange && opcode <= kAtomicXor && count >= 4) use(words[3], true);
      break;
  }
}

void Reader::use(std::uint32_t pointer, bool writes) {
  const auto found = pointers_.find(pointer);
  if (found == pointers_.end() || found->second >= 32) return;
  const std::uint32_t bit = 1u << found->second;
  used_ |= bit;
  if (writes) written_ |= bit;
}

std::optional<Size> Reader::workgroup_size(Words constants) const {
  if (builtin_ == 0) return local_size_;
  const auto composite = composites_.find(builtin_);
  if (composite == composites_.end()) return std::nullopt;
  Size size{};
  for (std::size_t axis = 0; axis < size.size(); ++axis) {
    const std::uint32_t id = composite->second[axis];
    const auto value = values_.find(id);
    if (value == values_.end()) return std::nullopt;
    const auto spec = spec_.find(id);
    const bool given = spec != spec_.end() && spec->second < constants.size();
    size[axis] = given ? constants[spec->second] : value->second;
  }
  return size;
}

ShaderInterface Reader::result(Words constants) const {
  constexpr std::uint32_t kStorage = (1u << kMaxBindings) - 1;
  // What lies beyond both kinds of bindings stays a used binding, for `check_bindings` to refuse.
  constexpr std::uint32_t kTexels = kStorage << kMaxBindings;
  return {workgroup_size(constants), used_ & ~kTexels, written_, (used_ & kTexels) >> kMaxBindings};
}

}  // namespace

ShaderInterface shader_interface(Words code, Words constants) {
  if (code.size() < kHeaderWords || code[0] != kMagic) return {};
  Reader reader;
  for (std::size_t at = kHeaderWords; at < code.size();) {
    const std::size_t count = code[at] >> 16;
    if (count == 0 || count > code.size() - at) return {};
    reader.read(code.subspan(at, count));
    at += count;
  }
  return reader.result(constants);
}

}  // namespace vktrain::runtime
