// A device buffer with one part per replica, laid out as an external value of a graph.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nn/tensor.h"
#include "runtime/memory.h"

namespace vktrain::nn {

template <class T>
class ReplicaBuffer {
  static_assert(sizeof(T) % 4 == 0);

 public:
  // `count` items of T per replica.
  ReplicaBuffer(runtime::Device& device, runtime::Arena& arena, std::int64_t count,
                std::uint32_t replicas, const std::string& name)
      : device_(&device),
        stride_(static_cast<std::uint64_t>(round_up(
                    count * static_cast<std::int64_t>(sizeof(T) / 4), kAlignmentElements)) *
                4),
        slice_(arena.allocate(stride_ * replicas, name)) {}

  void upload(std::uint32_t replica, std::span<const T> items) {
    device_->upload(slice_.part(stride_ * replica, items.size_bytes()), std::as_bytes(items));
  }
  std::vector<T> download(std::uint32_t replica, std::size_t first, std::size_t count) const {
    std::vector<T> items(count);
    if (count == 0) return items;
    device_->download(slice_.part(stride_ * replica + first * sizeof(T), count * sizeof(T)),
                      std::as_writable_bytes(std::span(items)));
    return items;
  }
  runtime::Slice slice() const { return slice_; }

 private:
  runtime::Device* device_;
  std::uint64_t stride_;  // bytes
  runtime::Slice slice_;
};

}  // namespace vktrain::nn
