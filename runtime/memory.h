// Device memory by purpose. A Buffer is one allocation; an Arena hands out aligned slices of
// buffers that live as long as the arena.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/device.h"

namespace vktrain::runtime {

class Buffer {
 public:
  // A storage buffer in device-local memory, zero-filled. Throws DeviceError naming the buffer, its
  // size and the limit when the device cannot hold it.
  Buffer(Device& device, std::uint64_t size, std::string name);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::uint64_t size() const;  // bytes
  const std::string& name() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// A range of a buffer, in bytes. The offset obeys the device's storage alignment when it comes
// from an Arena. Does not own the buffer.
struct Slice {
  const Buffer* buffer = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;

  bool overlaps(const Slice& other) const {
    return buffer == other.buffer && offset < other.offset + other.size &&
           other.offset < offset + size;
  }
  Slice part(std::uint64_t part_offset, std::uint64_t part_size) const {
    return {buffer, offset + part_offset, part_size};
  }
};

class Arena {
 public:
  Arena(Device& device, std::string name);

  // One zero-filled slice of `size` bytes in a buffer of its own.
  Slice allocate(std::uint64_t size, const std::string& name);
  std::uint64_t bytes() const { return bytes_; }  // allocated so far

 private:
  Device* device_;
  std::string name_;
  std::uint64_t bytes_ = 0;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

}  // namespace vktrain::runtime
