// Buffers: one VkBuffer and one allocation each, device-local where the device has such memory.
#include "runtime/memory.h"

#include <fmt/format.h>

#include <stdexcept>

#include "runtime/device_impl.h"
#include "runtime/error.h"
#include "runtime/memory_impl.h"

namespace vktrain::runtime {
namespace {

std::string mebibytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

void check_slice(const Slice& slice, std::string_view subject) {
  if (!slice.buffer)
    throw std::invalid_argument(fmt::format("{}: the slice has no buffer", subject));
  const std::uint64_t size = slice.buffer->size();
  if (slice.offset > size || slice.size > size - slice.offset) {
    throw std::invalid_argument(
        fmt::format("{}: the slice [{}, {}) leaves buffer \"{}\" of {} bytes", subject,
                    slice.offset, slice.offset + slice.size, slice.buffer->name(), size));
  }
}

Buffer::Buffer(Device& device, std::uint64_t size, std::string name)
    : impl_(std::make_unique<Impl>()) {
  if (size == 0) throw std::invalid_argument(fmt::format("buffer \"{}\" has size 0", name));
  Device::Impl& owner = device.impl();
  const DeviceProfile& profile = device.profile();
  if (size > profile.max_allocation) {
    throw DeviceError(
        fmt::format("buffer \"{}\" needs {}, but \"{}\" allows at most {} in one allocation", name,
                    mebibytes(size), profile.name, mebibytes(profile.max_allocation)));
  }
  const std::uint64_t words = (size + 3) / 4 * 4;  // vkCmdFillBuffer and copies work on words
  VkResult result = VK_SUCCESS;
  impl_->device = owner.logical.get();
  impl_->size = size;
  impl_->name = std::move(name);
  impl_->bound =
      make_buffer(*owner.logical, words,
                  VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                      VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                  0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, result);
  if (result != VK_SUCCESS) {
    throw DeviceError(fmt::format(
        "buffer \"{}\" needs {}, but \"{}\" with {} of memory has no room for it ({}): use a "
        "smaller model or batch, or free memory that other programs hold",
        impl_->name, mebibytes(size), profile.name, mebibytes(profile.memory), to_string(result)));
  }
  const VkBuffer handle = impl_->bound.buffer.get();
  owner.logical->set_name(VK_OBJECT_TYPE_BUFFER, std::uint64_t(handle), impl_->name);
  owner.transfers().fill(handle, 0, words, 0, impl_->name);
}

Buffer::~Buffer() {
  impl_->device->wait_idle();  // a submission may still use it
}

std::uint64_t Buffer::size() const { return impl_->size; }
const std::string& Buffer::name() const { return impl_->name; }

Arena::Arena(Device& device, std::string name) : device_(&device), name_(std::move(name)) {}

Slice Arena::allocate(std::uint64_t size, const std::string& name) {
  buffers_.push_back(std::make_unique<Buffer>(*device_, size, name_ + "/" + name));
  bytes_ += size;
  return {buffers_.back().get(), 0, size};
}

}  // namespace vktrain::runtime
