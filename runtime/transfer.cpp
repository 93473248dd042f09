// Staging copies. Each one begins with a barrier against everything submitted before and ends in a
// fence; a command graph begins with a barrier against transfers.
#include "runtime/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/error.h"

namespace vktrain::runtime {
namespace {

constexpr VkDeviceSize kSmallestStaging = 64 << 10;
constexpr VkDeviceSize kLargestStaging = 16 << 20;

void memory_barrier(const LogicalDevice& device, VkCommandBuffer commands,
                    VkPipelineStageFlags source_stages, VkAccessFlags source,
                    VkPipelineStageFlags destination_stages, VkAccessFlags destination) {
  VkMemoryBarrier barrier{};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = source;
  barrier.dstAccessMask = destination;
  device.vk().vkCmdPipelineBarrier(commands, source_stages, destination_stages, 0, 1, &barrier, 0,
                                   nullptr, 0, nullptr);
}

}  // namespace

BoundBuffer make_buffer(const LogicalDevice& device, VkDeviceSize size, VkBufferUsageFlags usage,
                        VkMemoryPropertyFlags required, VkMemoryPropertyFlags preferred,
                        VkResult& result) {
  BoundBuffer bound;
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = size;
  info.usage = usage;
  info.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
  VkBuffer buffer = VK_NULL_HANDLE;
  result = device.vk().vkCreateBuffer(device.handle(), &info, nullptr, &buffer);
  if (result != VK_SUCCESS) return bound;
  OwnedBuffer owned(device, buffer);

  VkMemoryRequirements needs{};
  device.vk().vkGetBufferMemoryRequirements(device.handle(), buffer, &needs);
  VkMemoryAllocateInfo allocation{};
  allocation.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocation.allocationSize = needs.size;
  allocation.memoryTypeIndex = device.memory_type(needs.memoryTypeBits, required, preferred);
  VkDeviceMemory memory = VK_NULL_HANDLE;
  result = device.vk().vkAllocateMemory(device.handle(), &allocation, nullptr, &memory);
  if (result != VK_SUCCESS) return bound;
  bound.memory = OwnedMemory(device, memory);
  bound.buffer = std::move(owned);
  result = device.vk().vkBindBufferMemory(device.handle(), buffer, memory, 0);
  return bound;
}

Transfer::Transfer(const LogicalDevice& device)
    : device_(&device),
      pool_(make_command_pool(device)),
      commands_(allocate_command_buffer(device, pool_.get())),
      fence_(make_fence(device)) {}

void Transfer::reserve_staging(VkDeviceSize size) {
  size = std::clamp(std::bit_ceil(size), kSmallestStaging, kLargestStaging);
  if (size <= staging_size_) return;
  staging_ = BoundBuffer{};
  staging_size_ = 0;
  VkResult result = VK_SUCCESS;
  // Cached memory: reading uncached memory back is a hundred times slower.
  staging_ = make_buffer(*device_, size,
                         VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                         kStagingMemory, VK_MEMORY_PROPERTY_HOST_CACHED_BIT, result);
  check(result, fmt::format("allocating the staging buffer of {} KiB", size / 1024));
  device_->set_name(VK_OBJECT_TYPE_BUFFER, std::uint64_t(staging_.buffer.get()), "staging");
  void* mapped = nullptr;
  check(device_->vk().vkMapMemory(device_->handle(), staging_.memory.get(), 0, VK_WHOLE_SIZE, 0,
                                  &mapped),
        fmt::format("mapping the staging buffer of {} KiB", size / 1024));
  mapped_ = static_cast<std::byte*>(mapped);
  staging_size_ = size;
}

void Transfer::begin() {
  check(device_->vk().vkResetCommandPool(device_->handle(), pool_.get(), 0),
        "resetting the transfer commands");
  VkCommandBufferBeginInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  check(device_->vk().vkBeginCommandBuffer(commands_, &info), "recording a transfer");
  memory_barrier(
      *device_, commands_, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
      VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
      VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
}

void Transfer::submit_and_wait(std::string_view name) {
  const DeviceFunctions& vk = device_->vk();
  const std::string what = fmt::format("transfer of buffer \"{}\"", name);
  check(vk.vkEndCommandBuffer(commands_), what);
  VkSubmitInfo submit{};
  submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  submit.commandBufferCount = 1;
  submit.pCommandBuffers = &commands_;
  const VkFence fence = fence_.get();
  check(vk.vkResetFences(device_->handle(), 1, &fence), what);
  check(device_->submit(submit, fence), what);
  check(device_->wait(fence), what);
}

void Transfer::upload(VkBuffer destination, VkDeviceSize offset, std::span<const std::byte> data,
                      std::string_view name) {
  if (data.empty()) return;
  reserve_staging(data.size());
  while (!data.empty()) {
    const std::size_t size = std::min<std::size_t>(data.size(), staging_size_);
    std::memcpy(mapped_, data.data(), size);
    begin();
    const VkBufferCopy copy{0, offset, size};
    device_->vk().vkCmdCopyBuffer(commands_, staging_.buffer.get(), destination, 1, &copy);
    submit_and_wait(name);
    data = data.subspan(size);
    offset += size;
  }
}

void Transfer::download(VkBuffer source, VkDeviceSize offset, std::span<std::byte> data,
                        std::string_view name) {
  if (data.empty()) return;
  reserve_staging(data.size());
  while (!data.empty()) {
    const std::size_t size = std::min<std::size_t>(data.size(), staging_size_);
    begin();
    const VkBufferCopy copy{offset, 0, size};
    device_->vk().vkCmdCopyBuffer(commands_, source, staging_.buffer.get(), 1, &copy);
    memory_barrier(*device_, commands_, VK_PIPELINE_STAGE_TRANSFER_BIT,
                   VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                   VK_ACCESS_HOST_READ_BIT);
    submit_and_wait(name);
    std::memcpy(data.data(), mapped_, size);
    data = data.subspan(size);
    offset += size;
  }
}

void Transfer::fill(VkBuffer destination, VkDeviceSize offset, VkDeviceSize size,
                    std::uint32_t word, std::string_view name) {
  if (size == 0) return;
  begin();
  device_->vk().vkCmdFillBuffer(commands_, destination, offset, size, word);
  submit_and_wait(name);
}

}  // namespace vktrain::runtime
