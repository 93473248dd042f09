// What a SPIR-V module says about itself: workgroup size, bindings used and written, shared memory,
// push constants, subgroup operations. Drivers need not check any of it (some crash), and
// synchronization validation overlooks writes after writes through descriptors, so the runtime
// checks it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace vktrain::runtime {

struct ShaderInterface {
  // With specialization constants applied; empty when the module declares none or it cannot be
  // evaluated.
  std::optional<std::array<std::uint32_t, 3>> workgroup_size;
  // Bit i is binding i of descriptor set 0, as a storage buffer. Static use: code that a
  // specialization constant turns off counts, as in the Vulkan specification.
  std::uint32_t used_bindings = 0;
  std::uint32_t written_bindings = 0;
  std::uint32_t texel_bindings = 0;  // bit i: binding i is read through its texel buffer
  // Bytes; empty when it cannot be evaluated.
  std::optional<std::uint64_t> shared_memory = 0;
  std::uint64_t push_constants = 0;  // bytes of the declared block
  // Bits of VkSubgroupFeatureFlagBits, of which these two are known to a device's profile.
  std::uint32_t subgroup_operations = 0;
  bool cooperative_matrices = false;
  static constexpr std::uint32_t kSubgroupBasic = 0x1;
  static constexpr std::uint32_t kSubgroupShuffle = 0x10;
};

// `constants[i]` is the value of specialization constant id i; ids beyond keep their defaults.
// A module that is not well-formed gives an empty interface.
ShaderInterface shader_interface(std::span<const std::uint32_t> code,
                                 std::span<const std::uint32_t> constants);

}  // namespace vktrain::runtime
