// One pool with room for exactly the sets of one graph, so that none can run out while it is used.
#include "runtime/descriptors.h"

#include <fmt/format.h>

#include <array>
#include <deque>

#include "runtime/kernel_impl.h"
#include "runtime/memory_impl.h"

namespace vktrain::runtime {
namespace {

// Vulkan requires these formats of uniform texel buffers.
VkFormat vk_format(TexelFormat format) {
  switch (format) {
    case TexelFormat::rg32f:
      return VK_FORMAT_R32G32_SFLOAT;
    case TexelFormat::r32f:
      return VK_FORMAT_R32_SFLOAT;
    case TexelFormat::rgba32ui:
      return VK_FORMAT_R32G32B32A32_UINT;
    case TexelFormat::r32ui:
      return VK_FORMAT_R32_UINT;
    case TexelFormat::rgba8unorm:
      return VK_FORMAT_R8G8B8A8_UNORM;
    case TexelFormat::rgba32f:
      break;
  }
  return VK_FORMAT_R32G32B32A32_SFLOAT;
}

}  // namespace

std::uint32_t texel_bytes(TexelFormat format) {
  switch (format) {
    case TexelFormat::r32f:
    case TexelFormat::r32ui:
    case TexelFormat::rgba8unorm:
      return 4;
    case TexelFormat::rg32f:
      return 8;
    case TexelFormat::rgba32f:
    case TexelFormat::rgba32ui:
      break;
  }
  return 16;
}

Descriptors::Descriptors(const LogicalDevice& device, VkDescriptorSetLayout layout,
                         std::span<const Dispatch> dispatches,
                         std::span<const Kernel* const> kernels)
    : device_(&device) {
  allocate_sets(layout, dispatches.size());
  write(dispatches, kernels);
}

void Descriptors::allocate_sets(VkDescriptorSetLayout layout, std::size_t dispatches) {
  const auto count = static_cast<std::uint32_t>(dispatches);
  // Every set takes room for the whole layout, whether its bindings are written or not.
  const std::uint32_t room = count * static_cast<std::uint32_t>(kMaxBindings);
  const std::array<VkDescriptorPoolSize, 2> sizes{
      {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, room}, {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, room}}};
  VkDescriptorPoolCreateInfo pool_info{};
  pool_info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
  pool_info.maxSets = count;
  pool_info.poolSizeCount = static_cast<std::uint32_t>(sizes.size());
  pool_info.pPoolSizes = sizes.data();
  const DeviceFunctions& vk = device_->vk();
  VkDescriptorPool pool = VK_NULL_HANDLE;
  check(vk.vkCreateDescriptorPool(device_->handle(), &pool_info, nullptr, &pool),
        fmt::format("creating a descriptor pool for {} dispatches", count));
  pool_ = OwnedDescriptorPool(*device_, pool);

  const std::vector<VkDescriptorSetLayout> layouts(count, layout);
  VkDescriptorSetAllocateInfo set_info{};
  set_info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
  set_info.descriptorPool = pool;
  set_info.descriptorSetCount = count;
  set_info.pSetLayouts = layouts.data();
  sets_.resize(count);
  check(vk.vkAllocateDescriptorSets(device_->handle(), &set_info, sets_.data()),
        fmt::format("allocating descriptor sets for {} dispatches", count));
}

VkBufferView Descriptors::make_texel_view(const Binding& binding) {
  const Slice& slice = binding.slice;
  VkBufferViewCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO;
  info.buffer = slice.buffer->impl().bound.buffer.get();
  info.format = vk_format(binding.texels);
  info.offset = slice.offset;
  info.range = slice.size;
  VkBufferView view = VK_NULL_HANDLE;
  check(device_->vk().vkCreateBufferView(device_->handle(), &info, nullptr, &view),
        fmt::format("creating a texel buffer of {} bytes of buffer \"{}\"", slice.size,
                    slice.buffer->name()));
  texel_views_.emplace_back(*device_, view);
  return view;
}

void Descriptors::write(std::span<const Dispatch> dispatches,
                        std::span<const Kernel* const> kernels) {
  // The writes point into these, which must not move.
  std::deque<VkDescriptorBufferInfo> infos;
  std::deque<VkBufferView> views;
  std::vector<VkWriteDescriptorSet> writes;
  const auto add_write = [&](std::size_t dispatch, std::size_t binding, VkDescriptorType type) {
    VkWriteDescriptorSet& write = writes.emplace_back();
    write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    write.dstSet = sets_[dispatch];
    write.dstBinding = static_cast<std::uint32_t>(binding);
    write.descriptorCount = 1;
    write.descriptorType = type;
    return &write;
  };
  for (std::size_t i = 0; i < dispatches.size(); ++i) {
    const std::uint32_t texels = kernels[i]->impl().interface.texel_bindings;
    for (std::size_t slot = 0; slot < dispatches[i].bindings.size(); ++slot) {
      const Slice& slice = dispatches[i].bindings[slot].slice;
      infos.push_back({slice.buffer->impl().bound.buffer.get(), slice.offset, slice.size});
      add_write(i, slot, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER)->pBufferInfo = &infos.back();
      if ((texels & (1u << slot)) == 0) continue;
      views.push_back(make_texel_view(dispatches[i].bindings[slot]));
      add_write(i, kMaxBindings + slot, VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER)->pTexelBufferView =
          &views.back();
    }
  }
  device_->vk().vkUpdateDescriptorSets(device_->handle(), static_cast<std::uint32_t>(writes.size()),
                                       writes.data(), 0, nullptr);
}

}  // namespace vktrain::runtime
