// What VK_LAYER_VKTRAIN_fault does to the calls that pass through it on their way to the driver.
// The layer is a shared library that the tests link, so that the loader, which opens it by its
// manifest, and the test see the same object. See "Layer Interface" in the Vulkan loader's docs.
#pragma once

#include <vulkan/vulkan_core.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/layer/fault_uses.h"

namespace vktrain::testing {

struct FaultCall {
  std::string_view function;            // "vkAllocateMemory"
  std::uint64_t number = 0;             // of the calls of this function since `reset`, from 1
  std::span<const std::uint32_t> code;  // vkCreateComputePipelines: SPIR-V of the shader module
};

// Null: nothing is changed. Called from the thread of the call, one at a time.
struct FaultHooks {
  // VK_SUCCESS: the call goes on. Anything else is returned, and the driver does not hear of it.
  std::function<VkResult(const FaultCall&)> on_call = nullptr;
  std::function<void(std::vector<VkPhysicalDevice>&)> edit_devices = nullptr;
  std::function<void(VkPhysicalDeviceProperties&)> edit_properties = nullptr;
  std::function<void(VkPhysicalDeviceSubgroupProperties&)> edit_subgroup = nullptr;
  std::function<void(std::vector<VkQueueFamilyProperties>&)> edit_queue_families = nullptr;
  // Every type shown is then the driver's type 0, and every buffer may live in every type.
  std::function<void(VkPhysicalDeviceMemoryProperties&)> edit_memory = nullptr;
  // The device lists VK_KHR_portability_subset, which the driver never hears of.
  bool portability_subset = false;
  std::function<void(std::vector<std::uint32_t>&)> edit_code = nullptr;  // SPIR-V of a module
};

class __attribute__((visibility("default"))) FaultLayer {
 public:
  // The one of this process.
  static FaultLayer& get();

  // Forgets counts, records and hooks. Objects that live stay known.
  void reset(FaultHooks hooks = {});

  std::uint64_t calls(std::string_view function) const;
  // "VkBuffer: 2" for every type of which objects live.
  std::vector<std::string> living() const;
  // What no program may do: devices destroyed before their objects, objects destroyed twice or
  // while a submission uses them.
  std::vector<std::string> problems() const;
  std::vector<std::string> device_extensions() const;  // of the last vkCreateDevice
  std::vector<std::uint32_t> memory_types() const;     // of every vkAllocateMemory
  VkInstanceCreateFlags instance_flags() const;        // of the last vkCreateInstance
  std::vector<std::string> instance_extensions() const;

  // For the layer's entry points.
  VkResult enter(std::string_view function, std::uint64_t shader_module = 0);
  void born(std::string_view type, std::uint64_t handle, std::uint64_t device);
  void died(std::string_view type, std::uint64_t handle);
  void device_dies(std::uint64_t device);
  // A problem when a submission uses the object. `what` is done to it: "reset".
  void require_idle(const UseTracker::Object& object, std::string_view what);
  UseTracker& uses() { return uses_; }
  std::vector<std::uint32_t> module_code(std::span<const std::uint32_t> code);
  void keep_module(std::uint64_t module, std::span<const std::uint32_t> code);
  void note_device(const VkDeviceCreateInfo& info);
  void note_instance(const VkInstanceCreateInfo& info);
  void note_memory_type(std::uint32_t type);
  const FaultHooks& hooks() const { return hooks_; }

 private:
  mutable std::mutex mutex_;
  FaultHooks hooks_;
  std::map<std::string, std::uint64_t, std::less<>> calls_;
  std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> objects_;  // to the device
  std::map<std::uint64_t, std::vector<std::uint32_t>> modules_;
  UseTracker uses_;
  std::vector<std::string> problems_;
  std::vector<std::string> device_extensions_;
  std::vector<std::string> instance_extensions_;
  std::vector<std::uint32_t> memory_types_;
  VkInstanceCreateFlags instance_flags_ = 0;
};

}  // namespace vktrain::testing
