// Embedded shaders and the pipelines made from them.
#include "runtime/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>

#include "runtime/device_impl.h"
#include "runtime/embedded_shaders.h"
#include "runtime/error.h"
#include "runtime/kernel_impl.h"
#include "runtime/shader_interface.h"

namespace vktrain::runtime {
namespace {

OwnedShaderModule make_module(const LogicalDevice& device, std::span<const std::uint32_t> code,
                              const std::string& name) {
  VkShaderModuleCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  info.codeSize = code.size_bytes();
  info.pCode = code.data();
  VkShaderModule module = VK_NULL_HANDLE;
  check(device.vk().vkCreateShaderModule(device.handle(), &info, nullptr, &module),
        fmt::format("kernel {}: the driver refused the shader", name));
  return {device, module};
}

void check_workgroup(const DeviceProfile& profile, const ShaderInterface& interface,
                     const KernelKey& key) {
  const auto& size = interface.workgroup_size;
  if (!size) return;
  std::uint64_t invocations = 1;
  bool fits = true;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    fits = fits && (*size)[axis] >= 1 && (*size)[axis] <= profile.max_workgroup_size[axis];
    invocations *= (*size)[axis];
  }
  if (fits && invocations <= profile.max_workgroup_invocations) return;
  throw DeviceError(fmt::format(
      "kernel {}: a workgroup of {}x{}x{} does not fit \"{}\", which allows {} invocations and "
      "{}x{}x{}",
      to_string(key), (*size)[0], (*size)[1], (*size)[2], profile.name,
      profile.max_workgroup_invocations, profile.max_workgroup_size[0],
      profile.max_workgroup_size[1], profile.max_workgroup_size[2]));
}

OwnedPipeline make_pipeline(const Device::Impl& device, std::span<const std::uint32_t> code,
                            const KernelKey& key) {
  const std::string name = to_string(key);
  const LogicalDevice& logical = *device.logical;
  const OwnedShaderModule module = make_module(logical, code, name);
  std::vector<VkSpecializationMapEntry> entries;
  for (std::uint32_t id = 0; id < key.constants.size(); ++id) entries.push_back({id, id * 4, 4});
  VkSpecializationInfo constants{};
  constants.mapEntryCount = static_cast<std::uint32_t>(entries.size());
  constants.pMapEntries = entries.data();
  constants.dataSize = key.constants.size() * 4;
  constants.pData = key.constants.data();

  VkComputePipelineCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module.get();
  info.stage.pName = "main";
  info.stage.pSpecializationInfo = &constants;
  info.layout = device.pipeline_layout.get();
  VkPipeline pipeline = VK_NULL_HANDLE;
  check(logical.vk().vkCreateComputePipelines(logical.handle(), device.pipeline_cache.get(), 1,
                                              &info, nullptr, &pipeline),
        fmt::format("kernel {}: the driver refused the pipeline", name));
  logical.set_name(VK_OBJECT_TYPE_PIPELINE, std::uint64_t(pipeline), name);
  return {logical, pipeline};
}

}  // namespace

std::vector<std::string_view> shader_names() {
  std::vector<std::string_view> names;
  for (const EmbeddedFile& file : embedded_shaders()) names.push_back(file.name);
  std::ranges::sort(names);
  return names;
}

std::span<const std::uint32_t> shader_code(std::string_view name) {
  for (const EmbeddedFile& file : embedded_shaders()) {
    if (file.name != name) continue;
    // Embedded files are aligned to 16 bytes.
    return {reinterpret_cast<const std::uint32_t*>(file.bytes.data()), file.bytes.size() / 4};
  }
  throw std::invalid_argument(fmt::format("no shader is called \"{}\"", name));
}

std::string to_string(const KernelKey& key) {
  return fmt::format("{}<{}>", key.shader, fmt::join(key.constants, ","));
}

Kernel::Kernel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Kernel::~Kernel() = default;

struct KernelCache::Impl {
  Device::Impl* device;
  std::map<std::string, std::vector<std::uint32_t>, std::less<>> added;
  std::map<KernelKey, Kernel> kernels;
};

KernelCache::KernelCache(Device& device) : impl_(std::make_unique<Impl>()) {
  impl_->device = &device.impl();
}
KernelCache::~KernelCache() = default;

void KernelCache::add_shader(std::string name, std::span<const std::uint32_t> code) {
  if (impl_->added.contains(name)) {
    throw std::invalid_argument(fmt::format("shader \"{}\" is already added", name));
  }
  impl_->added.emplace(std::move(name), std::vector<std::uint32_t>(code.begin(), code.end()));
}

const Kernel& KernelCache::get(const KernelKey& key) {
  if (const auto found = impl_->kernels.find(key); found != impl_->kernels.end()) {
    return found->second;
  }
  const auto added = impl_->added.find(key.shader);
  const std::span<const std::uint32_t> code = added != impl_->added.end()
                                                  ? std::span(std::as_const(added->second))
                                                  : shader_code(key.shader);
  auto kernel = std::make_unique<Kernel::Impl>();
  kernel->interface = shader_interface(code, key.constants);
  check_workgroup(impl_->device->profile, kernel->interface, key);
  kernel->pipeline = make_pipeline(*impl_->device, code, key);
  return impl_->kernels.try_emplace(key, std::move(kernel)).first->second;
}

}  // namespace vktrain::runtime
