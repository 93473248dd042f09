// How much memory the variables of a SPIR-V module take: shared memory of a workgroup, and the
// block of push constants. Sizes and alignments are those of std430 (OpenGL specification, section
// 7.6.2.2).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/shader_constants.h"

namespace vktrain::runtime {

class ShaderMemory {
 public:
  // One whole instruction, its own word included, in the module's order; `constants` has read it.
  void read(std::span<const std::uint32_t> words, const ShaderConstants& constants);

  // Bytes that the workgroup's variables need at most, in whatever order a driver puts them
  // (Vulkan specification, "Shader Memory Access Ordering", maxComputeSharedMemorySize). Empty when
  // the size of one is not known.
  std::optional<std::uint64_t> shared_memory() const;
  // Bytes up to the end of the last push constant.
  std::uint64_t push_constants() const { return push_constants_; }

 private:
  struct Type {
    std::uint64_t size = 0;
    std::uint64_t alignment = 1;
  };
  struct Pointer {
    std::uint32_t storage = 0;
    std::uint32_t type = 0;
  };

  void read_type(std::span<const std::uint32_t> words, const ShaderConstants& constants);
  void add_variable(std::uint32_t pointer_type);
  std::optional<Type> type(std::uint32_t id) const;
  std::optional<Type> structure(std::span<const std::uint32_t> members) const;
  std::uint64_t block_size(std::uint32_t id) const;

  std::unordered_map<std::uint32_t, Type> types_;
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> structures_;
  std::unordered_map<std::uint64_t, std::uint32_t> offsets_;  // structure << 32 | member
  std::unordered_map<std::uint32_t, Pointer> pointers_;
  std::vector<Type> shared_;
  bool unknown_shared_ = false;
  std::uint64_t push_constants_ = 0;
};

}  // namespace vktrain::runtime
