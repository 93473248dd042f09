// Counts, records and hooks of the layer.
#include "tests/layer/fault_layer.h"

namespace vktrain::testing {

FaultLayer& FaultLayer::get() {
  static FaultLayer layer;
  return layer;
}

void FaultLayer::reset(FaultHooks hooks) {
  const std::lock_guard lock(mutex_);
  hooks_ = std::move(hooks);
  calls_.clear();
  problems_.clear();
  device_extensions_.clear();
  instance_extensions_.clear();
  memory_types_.clear();
  instance_flags_ = 0;
}

std::uint64_t FaultLayer::calls(std::string_view function) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(function);
  return found == calls_.end() ? 0 : found->second;
}

std::vector<std::string> FaultLayer::living() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::size_t> counts;
  for (const auto& [object, device] : objects_) ++counts[object.first];
  std::vector<std::string> lines;
  for (const auto& [type, count] : counts) lines.push_back(type + ": " + std::to_string(count));
  return lines;
}

std::vector<std::string> FaultLayer::problems() const {
  const std::lock_guard lock(mutex_);
  return problems_;
}

std::vector<std::string> FaultLayer::device_extensions() const {
  const std::lock_guard lock(mutex_);
  return device_extensions_;
}

std::vector<std::string> FaultLayer::instance_extensions() const {
  const std::lock_guard lock(mutex_);
  return instance_extensions_;
}

std::vector<std::uint32_t> FaultLayer::memory_types() const {
  const std::lock_guard lock(mutex_);
  return memory_types_;
}

VkInstanceCreateFlags FaultLayer::instance_flags() const {
  const std::lock_guard lock(mutex_);
  return instance_flags_;
}

VkResult FaultLayer::enter(std::string_view function, std::uint64_t shader_module) {
  const std::lock_guard lock(mutex_);
  auto count = calls_.find(function);
  if (count == calls_.end()) count = calls_.emplace(function, 0).first;
  ++count->second;
  if (!hooks_.on_call) return VK_SUCCESS;
  const auto module = modules_.find(shader_module);
  FaultCall call;
  call.function = function;
  call.number = count->second;
  if (module != modules_.end()) call.code = module->second;
  return hooks_.on_call(call);
}

void FaultLayer::born(std::string_view type, std::uint64_t handle, std::uint64_t device) {
  const std::lock_guard lock(mutex_);
  objects_[{std::string(type), handle}] = device;
}

void FaultLayer::died(std::string_view type, std::uint64_t handle) {
  if (handle == 0) return;  // destroying nothing is allowed
  require_idle({type, handle}, "destroyed");
  uses_.forget({type, handle});
  const std::lock_guard lock(mutex_);
  if (objects_.erase({std::string(type), handle}) == 0) {
    problems_.push_back("a " + std::string(type) + " is destroyed that does not live");
  }
}

void FaultLayer::require_idle(const UseTracker::Object& object, std::string_view what) {
  if (!uses_.in_use(object)) return;
  const std::lock_guard lock(mutex_);
  problems_.push_back("a " + std::string(object.first) + " is " + std::string(what) +
                      " while a submission uses it");
}

void FaultLayer::device_dies(std::uint64_t device) {
  const std::lock_guard lock(mutex_);
  for (const auto& [object, owner] : objects_) {
    if (owner != device) continue;
    problems_.push_back("a " + object.first + " outlives its device");
  }
}

std::vector<std::uint32_t> FaultLayer::module_code(std::span<const std::uint32_t> code) {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint32_t> words(code.begin(), code.end());
  if (hooks_.edit_code) hooks_.edit_code(words);
  return words;
}

void FaultLayer::keep_module(std::uint64_t module, std::span<const std::uint32_t> code) {
  const std::lock_guard lock(mutex_);
  modules_[module].assign(code.begin(), code.end());
}

void FaultLayer::note_device(const VkDeviceCreateInfo& info) {
  const std::lock_guard lock(mutex_);
  device_extensions_.assign(info.ppEnabledExtensionNames,
                            info.ppEnabledExtensionNames + info.enabledExtensionCount);
}

void FaultLayer::note_instance(const VkInstanceCreateInfo& info) {
  const std::lock_guard lock(mutex_);
  instance_flags_ = info.flags;
  instance_extensions_.assign(info.ppEnabledExtensionNames,
                              info.ppEnabledExtensionNames + info.enabledExtensionCount);
}

void FaultLayer::note_memory_type(std::uint32_t type) {
  const std::lock_guard lock(mutex_);
  memory_types_.push_back(type);
}

}  // namespace vktrain::testing
