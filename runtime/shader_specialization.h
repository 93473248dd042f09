// SPIR-V with its specialization constants as plain ones. Drivers get no specialization constants:
// those that translate shaders to another language cannot size arrays by them. Metal takes none as
// an array's length, and SPIRV-Cross writes such lengths as macros, which MoltenVK left at the
// constants' defaults until 2025 (its pull request 2441).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vktrain::runtime {

// `constants[i]` is the value of specialization constant id i; ids beyond keep their defaults. What
// is computed from them becomes a constant, too. Left as they are, with their defaults: numbers of
// other than 32 bits, results of operations that ShaderConstants does not know, and what is made
// from either. A module that is not well-formed is returned as it is.
std::vector<std::uint32_t> specialized_shader(std::span<const std::uint32_t> code,
                                              std::span<const std::uint32_t> constants);

}  // namespace vktrain::runtime
