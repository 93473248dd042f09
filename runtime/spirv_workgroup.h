// The workgroup size that a SPIR-V module declares, with specialization constants applied. Drivers
// need not check it against their limits (some crash), so the kernel cache does.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace vktrain::runtime {

// `constants[i]` is the value of specialization constant id i; ids beyond keep their defaults.
// Empty when `code` is no SPIR-V module or declares no workgroup size that can be evaluated.
std::optional<std::array<std::uint32_t, 3>> workgroup_size(
    std::span<const std::uint32_t> code, std::span<const std::uint32_t> constants);

}  // namespace vktrain::runtime
