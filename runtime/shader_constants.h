// The 32-bit constants of a SPIR-V module with given values of its specialization constants.
// SPIR-V specification, sections 3.52.7 (constants) and 3.52 (OpSpecConstantOp and its operands).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace vktrain::runtime {

class ShaderConstants {
 public:
  // `given[i]` is the value of specialization constant id i; ids beyond keep their defaults.
  explicit ShaderConstants(std::span<const std::uint32_t> given) : given_(given) {}

  // One whole instruction, its own word included, in the module's order: operands come before what
  // is made from them.
  void read(std::span<const std::uint32_t> words);

  // Empty for what is no constant of 32 bits or fewer, or is made by an operation not known here.
  // Booleans are 0 and 1.
  std::optional<std::uint32_t> value(std::uint32_t id) const;
  // The parts of a composite; empty when there is none of that id.
  std::span<const std::uint32_t> parts(std::uint32_t id) const;

 private:
  void add(std::uint32_t id, std::uint32_t value, bool boolean);
  std::optional<std::uint32_t> computed(std::span<const std::uint32_t> words) const;

  std::span<const std::uint32_t> given_;
  std::unordered_map<std::uint32_t, std::uint32_t> spec_;  // result id -> specialization id
  std::unordered_map<std::uint32_t, std::uint32_t> values_;
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> composites_;
};

}  // namespace vktrain::runtime
