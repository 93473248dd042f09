// What the tests of dropout and dropout2d share.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {

inline constexpr std::uint32_t kSlot = 3;

// Replica r draws with seed 1000 + r and, where `probability` is not fixed, its own probability
// (0.5, 0.1, 0) in the slots kSlot to kSlot + slots - 1.
struct DropoutCase {
  std::optional<float> probability;
  std::uint32_t step = 5;
  bool ones = false;  // inputs are 1
  std::uint32_t slots = 1;
};

// For OpCase::fill.
std::optional<std::vector<std::uint32_t>> fill_dropout(const DropoutCase& settings,
                                                       const nn::Value& value, std::size_t count,
                                                       std::uint32_t replica);

inline auto dropout_fill(const DropoutCase& settings) {
  return [settings](const nn::Value& value, std::size_t count, std::uint32_t replica,
                    nn::PhiloxRng&) { return fill_dropout(settings, value, count, replica); };
}

// What the last operation of the kind makes, which is the backward one.
nn::ValueId backward_output(const OpGraph& ops, std::string_view kind);

double zeros(const std::vector<float>& values);  // share of the values
// Share of the positions where both or neither are 0.
double agreement(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace vktrain::testing
