// What a Buffer is made of. Private to the runtime room.
#pragma once

#include <string>

#include "runtime/memory.h"
#include "runtime/transfer.h"

namespace vktrain::runtime {

struct Buffer::Impl {
  const LogicalDevice* device = nullptr;
  std::uint64_t size = 0;
  std::string name;
  BoundBuffer bound;
};

// Throws std::invalid_argument unless the slice lies within its buffer. `subject` opens the
// message.
void check_slice(const Slice& slice, std::string_view subject);

}  // namespace vktrain::runtime
