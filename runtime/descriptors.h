// The descriptor sets of a command graph: one for each dispatch, in a pool of their own, with a
// texel view of every binding that the shader reads as texels. Private to the runtime room.
#pragma once

#include <span>
#include <vector>

#include "runtime/command_graph.h"
#include "runtime/logical_device.h"

namespace vktrain::runtime {

class Descriptors {
 public:
  // A kernel for each dispatch, of which there must be one. Throws DeviceError.
  Descriptors(const LogicalDevice& device, VkDescriptorSetLayout layout,
              std::span<const Dispatch> dispatches, std::span<const Kernel* const> kernels);

  VkDescriptorSet set(std::size_t dispatch) const { return sets_[dispatch]; }

 private:
  void allocate_sets(VkDescriptorSetLayout layout, std::size_t dispatches);
  void write(std::span<const Dispatch> dispatches, std::span<const Kernel* const> kernels);
  VkBufferView make_texel_view(const Binding& binding);

  const LogicalDevice* device_;
  OwnedDescriptorPool pool_;
  std::vector<VkDescriptorSet> sets_;
  std::vector<OwnedBufferView> texel_views_;
};

}  // namespace vktrain::runtime
