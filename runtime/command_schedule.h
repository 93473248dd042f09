// Which dispatches must wait for which: levels from declared reads and writes. Pure, without
// Vulkan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vktrain::runtime {

// One access of a dispatch to bytes [offset, offset + size) of a buffer.
struct ResourceUse {
  const void* buffer = nullptr;  // identity only
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  bool writes = false;
};

// `uses[i]` are the accesses of dispatch i. Dispatch j depends on an earlier i when two of their
// accesses overlap and at least one writes (read after write, write after read, write after write).
// Returns dispatch numbers by level, ascending within a level; a dispatch's level is 0 without
// dependencies, otherwise one more than the highest level among them.
std::vector<std::vector<std::size_t>> schedule_levels(
    std::span<const std::vector<ResourceUse>> uses);

}  // namespace vktrain::runtime
