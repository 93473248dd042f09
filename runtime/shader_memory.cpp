#include "runtime/shader_memory.h"

#include <algorithm>

#include "runtime/spirv.h"

namespace vktrain::runtime {
namespace {

using namespace spirv;

constexpr std::uint32_t kStorageWorkgroup = 4;
constexpr std::uint32_t kStoragePushConstant = 9;
constexpr std::uint32_t kDecorationOffset = 35;

constexpr std::uint64_t kMost = std::uint64_t{1} << 40;  // more than any device has

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Arrays of arrays may have more elements than 64 bits count.
std::uint64_t times(std::uint64_t count, std::uint64_t size) {
  return size != 0 && count > kMost / size ? kMost : count * size;
}

std::uint64_t member_key(std::uint32_t structure, std::uint64_t member) {
  return std::uint64_t{structure} << 32 | member;
}

}  // namespace

void ShaderMemory::read(std::span<const std::uint32_t> words, const ShaderConstants& constants) {
  const std::size_t count = words.size();
  switch (opcode(words)) {
    case kMemberDecorate:
      if (count == 5 && words[3] == kDecorationOffset) {
        offsets_[member_key(words[1], words[2])] = words[4];
      }
      break;
    case kTypePointer:
      if (count == 4) pointers_[words[1]] = {words[2], words[3]};
      break;
    case kVariable:
      if (count >= 4) add_variable(words[1]);
      break;
    default:
      read_type(words, constants);
      break;
  }
}

void ShaderMemory::read_type(std::span<const std::uint32_t> words,
                             const ShaderConstants& constants) {
  const std::size_t count = words.size();
  if (count < 2) return;
  const auto define = [&](std::optional<Type> type) {
    if (type) types_[words[1]] = *type;
  };
  switch (opcode(words)) {
    case kTypeBool:  // counts as an integer of 32 bits
      define(Type{4, 4});
      break;
    case kTypeInt:
    case kTypeFloat:
      if (count < 3 || words[2] < 8 || words[2] > 64) break;
      define(Type{words[2] / 8, words[2] / 8});
      break;
    case kTypeVector:
      if (const auto part = count == 4 ? type(words[2]) : std::nullopt) {
        define(Type{part->size * words[3], part->size * (words[3] == 2 ? 2 : 4)});
      }
      break;
    case kTypeMatrix:
      if (const auto column = count == 4 ? type(words[2]) : std::nullopt) {
        define(Type{times(words[3], round_up(column->size, column->alignment)), column->alignment});
      }
      break;
    case kTypeArray: {
      const auto element = count == 4 ? type(words[2]) : std::nullopt;
      const auto length = count == 4 ? constants.value(words[3]) : std::nullopt;
      if (!element || !length) break;
      define(Type{times(*length, round_up(element->size, element->alignment)), element->alignment});
      break;
    }
    case kTypeStruct:
      structures_[words[1]].assign(words.begin() + 2, words.end());
      define(structure(words.subspan(2)));
      break;
    default:
      break;
  }
}

std::optional<ShaderMemory::Type> ShaderMemory::type(std::uint32_t id) const {
  const auto found = types_.find(id);
  return found == types_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<ShaderMemory::Type> ShaderMemory::structure(
    std::span<const std::uint32_t> members) const {
  Type whole;
  for (const std::uint32_t id : members) {
    const auto member = type(id);
    if (!member) return std::nullopt;
    whole.alignment = std::max(whole.alignment, member->alignment);
    whole.size = std::min(kMost, round_up(whole.size, member->alignment) + member->size);
  }
  whole.size = round_up(whole.size, whole.alignment);
  return whole;
}

void ShaderMemory::add_variable(std::uint32_t pointer_type) {
  const auto pointer = pointers_.find(pointer_type);
  if (pointer == pointers_.end()) return;
  const auto [storage, id] = pointer->second;
  if (storage == kStoragePushConstant) push_constants_ = std::max(push_constants_, block_size(id));
  if (storage != kStorageWorkgroup) return;
  const auto known = type(id);
  if (known) shared_.push_back(*known);
  unknown_shared_ = unknown_shared_ || !known;
}

// A block's members stand where their decorations say.
std::uint64_t ShaderMemory::block_size(std::uint32_t id) const {
  const auto members = structures_.find(id);
  if (members == structures_.end()) return 0;
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < members->second.size(); ++i) {
    const auto offset = offsets_.find(member_key(id, i));
    const auto member = type(members->second[i]);
    if (offset != offsets_.end() && member) end = std::max(end, offset->second + member->size);
  }
  return end;
}

std::optional<std::uint64_t> ShaderMemory::shared_memory() const {
  if (unknown_shared_) return std::nullopt;
  std::uint64_t alignment = 1;
  for (const Type& variable : shared_) alignment = std::max(alignment, variable.alignment);
  std::uint64_t sum = 0;
  for (const Type& variable : shared_) {
    sum = std::min(kMost, sum + round_up(variable.size, alignment));
  }
  return sum;
}

}  // namespace vktrain::runtime
