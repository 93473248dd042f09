// Two walks over the instructions: the first evaluates the constants, the second writes them.
// SPIR-V specification, sections 2.9 (specialization), 3.52.6 (types) and 3.52.7 (constants).
#include "runtime/shader_specialization.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "runtime/shader_constants.h"
#include "runtime/spirv.h"

namespace vktrain::runtime {
namespace {

using namespace spirv;

// Whether it is a specialization constant, or one made from them: its type and id are next.
bool is_special(Words words) {
  return opcode(words) >= kSpecConstantTrue && opcode(words) <= kSpecConstantOp &&
         words.size() >= 3;
}

// The constants that get plain ones in their place.
class Constants {
 public:
  explicit Constants(Words given) : values_(given) {}

  void read(Words words) {
    values_.read(words);
    read_type(words);
    if (is_special(words)) (becomes_plain(words) ? known_ : left_).insert(words[2]);
  }

  bool is_known(std::uint32_t id) const { return known_.contains(id); }
  bool is_boolean(std::uint32_t type) const { return booleans_.contains(type); }
  std::uint32_t value(std::uint32_t id) const { return *values_.value(id); }

 private:
  void read_type(Words words) {
    if (opcode(words) == kTypeBool && words.size() == 2) booleans_.insert(words[1]);
    const bool is_number = opcode(words) == kTypeInt || opcode(words) == kTypeFloat;
    if (is_number && words.size() >= 3 && words[2] == 32) numbers_.insert(words[1]);
  }
  // What is made from others is plain where they all are.
  bool becomes_plain(Words words) const {
    const auto is_left = [this](std::uint32_t id) { return left_.contains(id); };
    if (opcode(words) == kSpecConstantComposite) {
      return std::ranges::none_of(words.subspan(3), is_left);
    }
    if (opcode(words) == kSpecConstantOp) {
      if (words.size() < 5) return false;
      // Behind the composite of an extraction stand indices.
      const std::size_t operands = words[3] == kCompositeExtract ? 1 : words.size() - 4;
      if (std::ranges::any_of(words.subspan(4, operands), is_left)) return false;
    }
    return values_.value(words[2]) && (is_boolean(words[1]) || numbers_.contains(words[1]));
  }

  ShaderConstants values_;
  std::unordered_set<std::uint32_t> booleans_, numbers_;  // types; numbers of 32 bits
  std::unordered_set<std::uint32_t> known_, left_;        // ids of constants
};

class Writer {
 public:
  Writer(Words header, const Constants& constants)
      : constants_(&constants), code_(header.begin(), header.end()) {}

  void write(Words words) {
    const bool decorates = opcode(words) == kDecorate && words.size() == 4;
    if (decorates && words[2] == kDecorationSpecId && constants_->is_known(words[1])) return;
    if (!is_special(words) || !constants_->is_known(words[2])) return copy(words);
    if (opcode(words) == kSpecConstantComposite) return put(kConstantComposite, words.subspan(1));
    const std::uint32_t type = words[1], id = words[2], value = constants_->value(id);
    if (constants_->is_boolean(type)) {
      return put(value != 0 ? kConstantTrue : kConstantFalse, words.subspan(1, 2));
    }
    const std::uint32_t operands[] = {type, id, value};
    put(kConstant, operands);
  }
  std::vector<std::uint32_t> take() { return std::move(code_); }

 private:
  void copy(Words words) { code_.insert(code_.end(), words.begin(), words.end()); }
  void put(Opcode operation, Words operands) {
    code_.push_back(static_cast<std::uint32_t>(operands.size() + 1) << 16 | operation);
    copy(operands);
  }

  const Constants* constants_;
  std::vector<std::uint32_t> code_;
};

}  // namespace

std::vector<std::uint32_t> specialized_shader(std::span<const std::uint32_t> code,
                                              std::span<const std::uint32_t> given) {
  Constants constants(given);
  if (!for_each_instruction(code, [&](Words words) { constants.read(words); })) {
    return {code.begin(), code.end()};
  }
  Writer writer(code.first(kHeaderWords), constants);
  for_each_instruction(code, [&](Words words) { writer.write(words); });
  return writer.take();
}

}  // namespace vktrain::runtime
