// Embedded shaders and the pipelines made from them.
#include "runtime/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <set>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "runtime/device_impl.h"
#include "runtime/dispatch_check.h"
#include "runtime/embedded_shaders.h"
#include "runtime/error.h"
#include "runtime/kernel_impl.h"
#include "runtime/shader_interface.h"
#include "runtime/shader_specialization.h"

namespace vktrain::runtime {
namespace {

// "kernel gemm_reduce<64>: the driver of "RADV NAVI21" (Mesa 22.3.6) refused the shader"
std::string refusal(const DeviceProfile& profile, const std::string& kernel,
                    std::string_view what) {
  return fmt::format("kernel {}: the driver of \"{}\" ({}) refused the {}", kernel, profile.name,
                     profile.driver_info, what);
}

OwnedShaderModule make_module(const Device::Impl& owner, std::span<const std::uint32_t> code,
                              const std::string& name) {
  const LogicalDevice& device = *owner.logical;
  VkShaderModuleCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  info.codeSize = code.size_bytes();
  info.pCode = code.data();
  VkShaderModule module = VK_NULL_HANDLE;
  check(device.vk().vkCreateShaderModule(device.handle(), &info, nullptr, &module),
        refusal(owner.profile, name, "shader"));
  return {device, module};
}

OwnedPipeline make_pipeline(const Device::Impl& device, std::span<const std::uint32_t> code,
                            const KernelKey& key, const ShaderInterface& interface) {
  const std::string name = to_string(key);
  const LogicalDevice& logical = *device.logical;
  const OwnedShaderModule module =
      make_module(device, specialized_shader(code, key.constants), name);

  VkComputePipelineCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  info.flags = logical.pipeline_flags();
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module.get();
  info.stage.pName = "main";
  if (interface.cooperative_matrices) {  // which every lane of a subgroup holds a part of
    info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
  }
  info.layout = device.pipeline_layout.get();
  VkPipeline pipeline = VK_NULL_HANDLE;
  check(logical.vk().vkCreateComputePipelines(logical.handle(), device.pipelines->handle(), 1,
                                              &info, nullptr, &pipeline),
        refusal(device.profile, name, "pipeline"));
  OwnedPipeline owned(logical, pipeline);
  logical.set_name(VK_OBJECT_TYPE_PIPELINE, std::uint64_t(pipeline), name);
  return owned;
}

std::size_t compile_threads(std::size_t kernels) {
  constexpr std::size_t kMost = 8;
  const std::size_t processors = std::max(1u, std::thread::hardware_concurrency());
  return std::min({kMost, processors, kernels});
}

// Calls job(0) ... job(jobs - 1) on `threads` threads, the caller's one of them, and returns what
// each threw.
template <typename Job>
std::vector<std::exception_ptr> run_parallel(std::size_t jobs, std::size_t threads, Job job) {
  std::vector<std::exception_ptr> errors(jobs);
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < jobs; i = next++) {
      try {
        job(i);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  std::vector<std::future<void>> helpers;  // each joins its thread when it is destroyed
  try {
    while (helpers.size() + 1 < threads) helpers.push_back(std::async(std::launch::async, work));
  } catch (const std::system_error&) {
    // The system gives no more threads: those there are do the work.
  }
  work();
  helpers.clear();
  return errors;
}

}  // namespace

bool has_shader(std::string_view name) {
  return std::ranges::any_of(embedded_shaders(),
                             [name](const EmbeddedFile& file) { return file.name == name; });
}

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
  std::unique_ptr<Kernel::Impl> compile(const KernelKey& key) const;
  // In the order of `keys`, each once.
  std::vector<KernelKey> missing(std::span<const KernelKey> keys) const;

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

// Reads what no other thread writes meanwhile.
std::unique_ptr<Kernel::Impl> KernelCache::Impl::compile(const KernelKey& key) const {
  const auto own = added.find(key.shader);
  const std::span<const std::uint32_t> code =
      own != added.end() ? std::span(own->second) : shader_code(key.shader);
  auto kernel = std::make_unique<Kernel::Impl>();
  kernel->interface = shader_interface(code, key.constants);
  check_kernel(key, kernel->interface, device->profile);
  kernel->pipeline = make_pipeline(*device, code, key, kernel->interface);
  return kernel;
}

std::vector<KernelKey> KernelCache::Impl::missing(std::span<const KernelKey> keys) const {
  std::set<KernelKey> seen;
  std::vector<KernelKey> missing;
  for (const KernelKey& key : keys) {
    if (!kernels.contains(key) && seen.insert(key).second) missing.push_back(key);
  }
  return missing;
}

const Kernel& KernelCache::get(const KernelKey& key) {
  if (const auto found = impl_->kernels.find(key); found != impl_->kernels.end()) {
    return found->second;
  }
  return impl_->kernels.try_emplace(key, impl_->compile(key)).first->second;
}

void KernelCache::prepare(std::span<const KernelKey> keys) {
  const std::vector<KernelKey> missing = impl_->missing(keys);
  std::vector<std::unique_ptr<Kernel::Impl>> compiled(missing.size());
  const std::vector<std::exception_ptr> errors =
      run_parallel(missing.size(), compile_threads(missing.size()),
                   [&](std::size_t i) { compiled[i] = impl_->compile(missing[i]); });
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (compiled[i]) impl_->kernels.try_emplace(missing[i], std::move(compiled[i]));
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

bool KernelCache::try_prepare(const KernelKey& key, std::string* why) {
  try {
    get(key);
    return true;
  } catch (const DeviceLostError&) {
    throw;
  } catch (const DeviceError& error) {
    if (why) *why = error.what();
    return false;
  }
}

}  // namespace vktrain::runtime
