// One walk over the instructions. SPIR-V specification, section 3.6 (LocalSize), the WorkgroupSize
// built-in, which overrides it and is how glslang writes local_size_x_id for Vulkan 1.1, section
// 3.31 for the capabilities and 3.52 for the operands.
#include "runtime/shader_interface.h"

#include <unordered_map>

#include "runtime/kernel.h"
#include "runtime/shader_constants.h"
#include "runtime/shader_memory.h"
#include "runtime/spirv.h"

namespace vktrain::runtime {
namespace {

using namespace spirv;

constexpr std::uint32_t kModeLocalSize = 17;
// GroupNonUniform, ...Vote, Arithmetic, Ballot, Shuffle, ShuffleRelative, Clustered and Quad: in
// the order of the bits of VkSubgroupFeatureFlagBits.
constexpr std::uint32_t kFirstSubgroupCapability = 61;
constexpr std::uint32_t kLastSubgroupCapability = 68;
constexpr std::uint32_t kCooperativeMatrixCapability = 6022;  // of SPV_KHR_cooperative_matrix
constexpr std::uint32_t kDecorationBuiltIn = 11;
constexpr std::uint32_t kDecorationBinding = 33;
constexpr std::uint32_t kBuiltInWorkgroupSize = 25;

using Size = std::array<std::uint32_t, 3>;

class Reader {
 public:
  explicit Reader(Words constants) : constants_(constants) {}

  // `words` is one whole instruction, its own word included.
  void read(Words words) {
    constants_.read(words);
    memory_.read(words, constants_);
    read_declaration(words);
    read_access(words);
  }
  ShaderInterface result() const;

 private:
  void read_declaration(Words words);
  void read_access(Words words);
  void use(std::uint32_t pointer, bool writes);
  std::optional<Size> workgroup_size() const;

  ShaderConstants constants_;
  ShaderMemory memory_;
  std::uint32_t subgroup_operations_ = 0;
  bool cooperative_matrices_ = false;
  std::optional<Size> local_size_;
  std::uint32_t builtin_ = 0;                                  // id of the WorkgroupSize constant
  std::unordered_map<std::uint32_t, std::uint32_t> pointers_;  // variable or chain -> binding
  std::uint32_t used_ = 0;
  std::uint32_t written_ = 0;
};

void Reader::read_declaration(Words words) {
  const std::size_t count = words.size();
  switch (opcode(words)) {
    case kExecutionMode:
      if (count == 6 && words[2] == kModeLocalSize) local_size_ = {words[3], words[4], words[5]};
      break;
    case kDecorate:
      if (count != 4) break;
      if (words[2] == kDecorationBinding) pointers_[words[1]] = words[3];
      if (words[2] == kDecorationBuiltIn && words[3] == kBuiltInWorkgroupSize) builtin_ = words[1];
      break;
    case kCapability:
      if (count == 2 && words[1] >= kFirstSubgroupCapability &&
          words[1] <= kLastSubgroupCapability) {
        subgroup_operations_ |= 1u << (words[1] - kFirstSubgroupCapability);
      }
      if (count == 2 && words[1] == kCooperativeMatrixCapability) cooperative_matrices_ = true;
      break;
    default:
      break;
  }
}

void Reader::read_access(Words words) {
  const std::uint32_t operation = opcode(words);
  const std::size_t count = words.size();
  switch (operation) {
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
      if (operation >= kAtomicExchange && operation <= kAtomicXor && count >= 4)
        use(words[3], true);
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

std::optional<Size> Reader::workgroup_size() const {
  if (builtin_ == 0) return local_size_;
  const Words parts = constants_.parts(builtin_);
  Size size{};
  if (parts.size() != size.size()) return std::nullopt;
  for (std::size_t axis = 0; axis < size.size(); ++axis) {
    const auto value = constants_.value(parts[axis]);
    if (!value) return std::nullopt;
    size[axis] = *value;
  }
  return size;
}

ShaderInterface Reader::result() const {
  constexpr std::uint32_t kStorage = (1u << kMaxBindings) - 1;
  // What lies beyond both kinds of bindings stays a used binding, for `check_bindings` to refuse.
  constexpr std::uint32_t kTexels = kStorage << kMaxBindings;
  return {.workgroup_size = workgroup_size(),
          .used_bindings = used_ & ~kTexels,
          .written_bindings = written_,
          .texel_bindings = (used_ & kTexels) >> kMaxBindings,
          .shared_memory = memory_.shared_memory(),
          .push_constants = memory_.push_constants(),
          .subgroup_operations = subgroup_operations_,
          .cooperative_matrices = cooperative_matrices_};
}

}  // namespace

ShaderInterface shader_interface(std::span<const std::uint32_t> code,
                                 std::span<const std::uint32_t> constants) {
  Reader reader(constants);
  if (!for_each_instruction(code, [&](Words words) { reader.read(words); })) return {};
  return reader.result();
}

}  // namespace vktrain::runtime
