// Opening a device: the one descriptor set layout and the one pipeline layout of all kernels, and
// the copies to and from its buffers.
#include "runtime/device.h"

#include <fmt/format.h>

#include <stdexcept>

#include "runtime/device_impl.h"
#include "runtime/error.h"
#include "runtime/memory.h"
#include "runtime/memory_impl.h"
#include "runtime/subgroup_check.h"
#include "runtime/user_cache.h"

namespace vktrain::runtime {
namespace {

OwnedSetLayout make_set_layout(const LogicalDevice& device) {
  std::array<VkDescriptorSetLayoutBinding, 2 * kMaxBindings> bindings{};
  for (std::uint32_t i = 0; i < bindings.size(); ++i) {
    bindings[i].binding = i;
    bindings[i].descriptorType = i < kMaxBindings ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
                                                  : VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
    bindings[i].descriptorCount = 1;
    bindings[i].stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
  }
  VkDescriptorSetLayoutCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
  info.bindingCount = static_cast<std::uint32_t>(bindings.size());
  info.pBindings = bindings.data();
  VkDescriptorSetLayout layout = VK_NULL_HANDLE;
  check(device.vk().vkCreateDescriptorSetLayout(device.handle(), &info, nullptr, &layout),
        "creating the descriptor set layout");
  return {device, layout};
}

OwnedPipelineLayout make_pipeline_layout(const LogicalDevice& device, VkDescriptorSetLayout sets) {
  const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, kMaxPushBytes};
  VkPipelineLayoutCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
  info.setLayoutCount = 1;
  info.pSetLayouts = &sets;
  info.pushConstantRangeCount = 1;
  info.pPushConstantRanges = &push;
  VkPipelineLayout layout = VK_NULL_HANDLE;
  check(device.vk().vkCreatePipelineLayout(device.handle(), &info, nullptr, &layout),
        "creating the pipeline layout");
  return {device, layout};
}

VkPhysicalDeviceProperties properties_of(const Instance& instance, VkPhysicalDevice physical) {
  VkPhysicalDeviceProperties properties{};
  instance.vk().vkGetPhysicalDeviceProperties(physical, &properties);
  return properties;
}

void check_transfer(const Slice& slice, std::string_view operation, std::uint64_t size) {
  check_slice(slice, operation);
  if (slice.offset % 4 != 0 || size % 4 != 0) {
    throw std::invalid_argument(
        fmt::format("{} of buffer \"{}\": offset {} and size {} must be multiples of 4 bytes",
                    operation, slice.buffer->name(), slice.offset, size));
  }
  if (size > slice.size) {
    throw std::invalid_argument(
        fmt::format("{} of buffer \"{}\": {} bytes do not fit a slice of {}", operation,
                    slice.buffer->name(), size, slice.size));
  }
}

// Held to the limits that were given, else to those of the environment.
DeviceProfile within_limits(const DeviceProfile& device,
                            const std::optional<ProfileLimits>& given) {
  const std::optional<ProfileLimits> limits = given ? given : limits_from_environment();
  if (!limits) return device;
  DeviceProfile clamped = clamp(device, *limits);
  if (clamped.usable()) return clamped;
  throw UsageError(fmt::format(
      "\"{}\" cannot be used within the limits of \"{}\" ({}): take other limits or none",
      device.name, clamped.limits, fmt::join(clamped.refused, "; ")));
}

}  // namespace

Device::Impl::Impl(const DeviceOptions& options)
    : instance(options.validate, options.on_validation_message, options.checks) {
  const std::vector<VkPhysicalDevice> devices = instance.physical_devices();
  const std::vector<DeviceProfile> profiles = query_profiles(instance, devices);
  profile = within_limits(choose_device(profiles, options.selector), options.limits);
  logical = std::make_unique<LogicalDevice>(instance, devices[profile.index],
                                            options.pipeline_statistics);
  set_layout = make_set_layout(*logical);
  pipeline_layout = make_pipeline_layout(*logical, set_layout.get());
  pipelines = std::make_unique<PipelineStore>(
      *logical, properties_of(instance, devices[profile.index]),
      options.pipeline_cache ? user_cache_folder() : std::nullopt, options.on_notice);
}

// Only CPU drivers are offered kernels that shuffle, and a GPU's driver may have no hardware to run
// anything on (RADV_FORCE_FAMILY).
void Device::distrust_shuffles(Device& device,
                               const std::function<void(std::string_view)>& notice) {
  DeviceProfile& profile = device.impl_->profile;
  if (profile.kind != DeviceKind::cpu || !profile.subgroup_shuffle) return;
  const std::string problem = subgroup_problem(device);
  if (problem.empty()) return;
  profile.subgroup_shuffle = false;
  if (!notice) return;
  notice(
      fmt::format("\"{}\" says that it has subgroup shuffles, but they fail a test ({}): kernels "
                  "that need them are not used.",
                  profile.name, problem));
}

std::unique_ptr<Device> Device::open(const DeviceOptions& options) {
  std::unique_ptr<Device> device(new Device(std::make_unique<Impl>(options)));
  device->impl_->kernels = std::make_unique<KernelCache>(*device);
  distrust_shuffles(*device, options.on_notice);
  return device;
}

Device::Device(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Device::~Device() = default;

const DeviceProfile& Device::profile() const { return impl_->profile; }
bool Device::validating() const { return impl_->instance.validating(); }
KernelCache& Device::kernels() { return *impl_->kernels; }

std::vector<std::string> Device::validation_messages() const { return impl_->instance.messages(); }

void Device::upload(const Slice& destination, std::span<const std::byte> data) {
  check_transfer(destination, "upload", data.size());
  impl_->transfers().upload(destination.buffer->impl().bound.buffer.get(), destination.offset, data,
                            destination.buffer->name());
}

void Device::download(const Slice& source, std::span<std::byte> data) {
  check_transfer(source, "download", data.size());
  impl_->transfers().download(source.buffer->impl().bound.buffer.get(), source.offset, data,
                              source.buffer->name());
}

void Device::fill(const Slice& destination, std::uint32_t word) {
  check_transfer(destination, "fill", destination.size);
  impl_->transfers().fill(destination.buffer->impl().bound.buffer.get(), destination.offset,
                          destination.size, word, destination.buffer->name());
}

}  // namespace vktrain::runtime
