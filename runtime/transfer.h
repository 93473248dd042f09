// Blocking copies between host and device through one staging buffer. Private to the runtime room.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "runtime/logical_device.h"

namespace vktrain::runtime {

// A buffer with memory of its own.
struct BoundBuffer {
  OwnedMemory memory;  // freed after the buffer
  OwnedBuffer buffer;
};

// `preferred` breaks ties between memory types that have all `required` flags. Returns the error of
// the allocation, such as "out of device memory", in `result`; the buffer is then empty.
BoundBuffer make_buffer(const LogicalDevice& device, VkDeviceSize size, VkBufferUsageFlags usage,
                        VkMemoryPropertyFlags required, VkMemoryPropertyFlags preferred,
                        VkResult& result);

class Transfer {
 public:
  explicit Transfer(const LogicalDevice& device);

  // `name` is the subject of errors. Offsets and sizes are in bytes, multiples of 4.
  void upload(VkBuffer destination, VkDeviceSize offset, std::span<const std::byte> data,
              std::string_view name);
  void download(VkBuffer source, VkDeviceSize offset, std::span<std::byte> data,
                std::string_view name);
  void fill(VkBuffer destination, VkDeviceSize offset, VkDeviceSize size, std::uint32_t word,
            std::string_view name);

 private:
  void reserve_staging(VkDeviceSize size);
  void begin();
  void submit_and_wait(std::string_view name);

  const LogicalDevice* device_;
  OwnedCommandPool pool_;
  VkCommandBuffer commands_;
  OwnedFence fence_;
  BoundBuffer staging_;
  VkDeviceSize staging_size_ = 0;
  std::byte* mapped_ = nullptr;
};

}  // namespace vktrain::runtime
