// Two walks over the instructions: the first evaluates the constants, the second writes them.
// SPIR-V specification, sections 2.9 (specialization), 3.52.7 (constants) and 3.52.6 (types).
#include "runtime/shader_specialization.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "runtime/shader_constants.h"
#include "runtime/spirv.h"

namespace vktrain::runtime {
namespace {

using namespace spirv;

class Writer {
 public:
  Writer(Words header, const ShaderConstants& constants)
      : constants_(&constants), code_(header.begin(), header.end()) {}

  void write(Words words) {
    const std::size_t count = words.size();
    switch (opcode(words)) {
      case kTypeBool:
        if (count == 2) booleans_.insert(words[1]);
        return copy(words);
      case kDecorate:
        if (count == 4 && words[2] == kDecorationSpecId && constants_->value(words[1])) return;
        return copy(words);
      case kSpecConstantTrue:
      case kSpecConstantFalse:
      case kSpecConstant:
      case kSpecConstantOp:
        return count < 3 ? copy(words) : write_scalar(words);
      case kSpecConstantComposite:
        return write_composite(words);
      default:
        return copy(words);
    }
  }
  std::vector<std::uint32_t> take() { return std::move(code_); }

 private:
  void copy(Words words) { code_.insert(code_.end(), words.begin(), words.end()); }
  void put(Opcode operation, Words operands) {
    code_.push_back(static_cast<std::uint32_t>(operands.size() + 1) << 16 | operation);
    copy(operands);
  }

  // Words: the instruction, its type, its id, and what makes its value.
  void write_scalar(Words words) {
    const Words type_and_id = words.subspan(1, 2);
    const auto value = constants_->value(words[2]);
    if (!value) {
      left_.insert(words[2]);
      return copy(words);
    }
    if (booleans_.contains(words[1])) {
      return put(*value != 0 ? kConstantTrue : kConstantFalse, type_and_id);
    }
    const std::uint32_t operands[] = {words[1], words[2], *value};
    put(kConstant, operands);
  }

  // A plain one has no specialization constants in it.
  void write_composite(Words words) {
    const bool plain =
        words.size() >= 3 && std::ranges::none_of(words.subspan(3), [this](std::uint32_t id) {
          return left_.contains(id);
        });
    if (plain) return put(kConstantComposite, words.subspan(1));
    if (words.size() >= 3) left_.insert(words[2]);
    copy(words);
  }

  const ShaderConstants* constants_;
  std::vector<std::uint32_t> code_;
  std::unordered_set<std::uint32_t> booleans_;  // types
  std::unordered_set<std::uint32_t> left_;      // constants that stay specialization constants
};

}  // namespace

std::vector<std::uint32_t> specialized_shader(std::span<const std::uint32_t> code,
                                              std::span<const std::uint32_t> constants) {
  ShaderConstants values(constants);
  if (!for_each_instruction(code, [&](Words words) { values.read(words); }))
    return {code.begin(), code.end()};
  Writer writer(code.first(kHeaderWords), values);
  for_each_instruction(code, [&](Words words) { writer.write(words); });
  return writer.take();
}

}  // namespace vktrain::runtime
