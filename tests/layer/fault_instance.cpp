// The layer's functions of an instance and its devices' properties, and its entry point. "Layer
// Interface" of the Vulkan loader's documentation, interface version 2.
#include <vulkan/vk_layer.h>

#include <algorithm>
#include <cstring>

#include "tests/layer/fault_layer.h"
#include "tests/layer/fault_tables.h"

namespace vktrain::testing {
namespace {

constexpr const char* kLayerName = "VK_LAYER_VKTRAIN_fault";
constexpr const char* kPortabilitySubset = "VK_KHR_portability_subset";

// What the loader puts into the chain for this layer.
template <typename Info>
Info* link_info(const void* chain, VkStructureType type) {
  for (auto* info = const_cast<Info*>(static_cast<const Info*>(chain)); info != nullptr;
       info = const_cast<Info*>(static_cast<const Info*>(info->pNext))) {
    if (info->sType == type && info->function == VK_LAYER_LINK_INFO) return info;
  }
  return nullptr;
}

// Copies as much of the list as fits, as all vkEnumerate... do.
template <typename T>
VkResult copy_list(const std::vector<T>& list, std::uint32_t* count, T* out) {
  const auto all = static_cast<std::uint32_t>(list.size());
  if (out == nullptr) {
    *count = all;
    return VK_SUCCESS;
  }
  *count = std::min(*count, all);
  std::copy_n(list.begin(), *count, out);
  return *count < all ? VK_INCOMPLETE : VK_SUCCESS;
}

VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical,
                                             const VkDeviceCreateInfo* info,
                                             const VkAllocationCallbacks* allocator,
                                             VkDevice* device) {
  FaultLayer& layer = FaultLayer::get();
  layer.note_device(*info);
  if (const VkResult fault = layer.enter("vkCreateDevice"); fault != VK_SUCCESS) return fault;
  auto* link =
      link_info<VkLayerDeviceCreateInfo>(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
  if (link == nullptr) return VK_ERROR_INITIALIZATION_FAILED;
  const PFN_vkGetInstanceProcAddr next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  const PFN_vkGetDeviceProcAddr next = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;

  std::vector<const char*> extensions(info->ppEnabledExtensionNames,
                                      info->ppEnabledExtensionNames + info->enabledExtensionCount);
  if (layer.hooks().portability_subset) {
    std::erase_if(extensions,
                  [](const char* n) { return std::strcmp(n, kPortabilitySubset) == 0; });
  }
  VkDeviceCreateInfo real = *info;
  real.enabledExtensionCount = static_cast<std::uint32_t>(extensions.size());
  real.ppEnabledExtensionNames = extensions.data();
  const VkInstance instance = instances().of(physical).instance;
  const auto create_below =
      reinterpret_cast<PFN_vkCreateDevice>(next_instance(instance, "vkCreateDevice"));
  const VkResult result = create_below(physical, &real, allocator, device);
  if (result != VK_SUCCESS) return result;

  DeviceTable& table = devices().of(*device);
  table.device = *device;
  table.next = next;
#define FAULT_LOAD(name) table.name = reinterpret_cast<PFN_##name>(next(*device, #name));
#define FAULT_LOAD_PAIR(type) FAULT_LOAD(vkCreate##type) FAULT_LOAD(vkDestroy##type)
  FAULT_CREATED(FAULT_LOAD_PAIR)
  FAULT_CALLED(FAULT_LOAD)
  FAULT_NOTED(FAULT_LOAD)
  FAULT_OWN(FAULT_LOAD)
#undef FAULT_LOAD
  layer.born("VkDevice", number_of(*device), 0);
  return result;
}

VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo* info,
                                               const VkAllocationCallbacks* allocator,
                                               VkInstance* instance) {
  FaultLayer& layer = FaultLayer::get();
  layer.note_instance(*info);
  if (const VkResult fault = layer.enter("vkCreateInstance"); fault != VK_SUCCESS) return fault;
  auto* link = link_info<VkLayerInstanceCreateInfo>(info->pNext,
                                                    VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
  if (link == nullptr) return VK_ERROR_INITIALIZATION_FAILED;
  const PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  const auto create_below =
      reinterpret_cast<PFN_vkCreateInstance>(next(VK_NULL_HANDLE, "vkCreateInstance"));
  const VkResult result = create_below(info, allocator, instance);
  if (result != VK_SUCCESS) return result;
  InstanceTable& table = instances().of(*instance);
  table.instance = *instance;
  table.next = next;
#define FAULT_LOAD(name) table.name = reinterpret_cast<PFN_##name>(next(*instance, #name));
  FAULT_INSTANCE(FAULT_LOAD)
#undef FAULT_LOAD
  layer.born("VkInstance", number_of(*instance), 0);
  return result;
}

VKAPI_ATTR void VKAPI_CALL destroy_instance(VkInstance instance,
                                            const VkAllocationCallbacks* allocator) {
  if (instance == VK_NULL_HANDLE) return;
  const void* key = key_of(instance);
  const PFN_vkDestroyInstance next = instances().of(instance).vkDestroyInstance;
  FaultLayer::get().died("VkInstance", number_of(instance));
  next(instance, allocator);
  instances().erase(key);
}

VKAPI_ATTR VkResult VKAPI_CALL enumerate_devices(VkInstance instance, std::uint32_t* count,
                                                 VkPhysicalDevice* out) {
  FaultLayer& layer = FaultLayer::get();
  const InstanceTable& table = instances().of(instance);
  if (const VkResult fault = layer.enter("vkEnumeratePhysicalDevices"); fault != VK_SUCCESS) {
    return fault;
  }
  if (!layer.hooks().edit_devices) return table.vkEnumeratePhysicalDevices(instance, count, out);
  std::uint32_t real = 0;
  table.vkEnumeratePhysicalDevices(instance, &real, nullptr);
  std::vector<VkPhysicalDevice> list(real);
  const VkResult result = table.vkEnumeratePhysicalDevices(instance, &real, list.data());
  if (result != VK_SUCCESS) return result;
  layer.hooks().edit_devices(list);
  return copy_list(list, count, out);
}

VKAPI_ATTR VkResult VKAPI_CALL enumerate_extensions(VkPhysicalDevice physical, const char* of_layer,
                                                    std::uint32_t* count,
                                                    VkExtensionProperties* out) {
  FaultLayer& layer = FaultLayer::get();
  VkExtensionProperties subset{};
  std::strncpy(subset.extensionName, kPortabilitySubset, VK_MAX_EXTENSION_NAME_SIZE - 1);
  subset.specVersion = 1;
  if (of_layer != nullptr && std::strcmp(of_layer, kLayerName) == 0) {
    return copy_list<VkExtensionProperties>({subset}, count, out);
  }
  const InstanceTable& table = instances().of(physical);
  std::uint32_t real = 0;
  table.vkEnumerateDeviceExtensionProperties(physical, of_layer, &real, nullptr);
  std::vector<VkExtensionProperties> list(real);
  table.vkEnumerateDeviceExtensionProperties(physical, of_layer, &real, list.data());
  if (layer.hooks().portability_subset) list.push_back(subset);
  return copy_list(list, count, out);
}

VKAPI_ATTR void VKAPI_CALL memory_properties(VkPhysicalDevice physical,
                                             VkPhysicalDeviceMemoryProperties* properties) {
  instances().of(physical).vkGetPhysicalDeviceMemoryProperties(physical, properties);
  const FaultHooks& hooks = FaultLayer::get().hooks();
  if (hooks.edit_memory) hooks.edit_memory(*properties);
}

VKAPI_ATTR void VKAPI_CALL properties(VkPhysicalDevice physical, VkPhysicalDeviceProperties* out) {
  instances().of(physical).vkGetPhysicalDeviceProperties(physical, out);
  const FaultHooks& hooks = FaultLayer::get().hooks();
  if (hooks.edit_properties) hooks.edit_properties(*out);
}

VKAPI_ATTR void VKAPI_CALL properties2(VkPhysicalDevice physical,
                                       VkPhysicalDeviceProperties2* out) {
  instances().of(physical).vkGetPhysicalDeviceProperties2(physical, out);
  const FaultHooks& hooks = FaultLayer::get().hooks();
  if (hooks.edit_properties) hooks.edit_properties(out->properties);
  for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next; next = next->pNext) {
    if (next->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES) continue;
    auto* subgroup = reinterpret_cast<VkPhysicalDeviceSubgroupProperties*>(next);
    if (hooks.edit_subgroup) hooks.edit_subgroup(*subgroup);
  }
}

VKAPI_ATTR void VKAPI_CALL queue_families(VkPhysicalDevice physical, std::uint32_t* count,
                                          VkQueueFamilyProperties* out) {
  const InstanceTable& table = instances().of(physical);
  std::uint32_t real = 0;
  table.vkGetPhysicalDeviceQueueFamilyProperties(physical, &real, nullptr);
  std::vector<VkQueueFamilyProperties> list(real);
  table.vkGetPhysicalDeviceQueueFamilyProperties(physical, &real, list.data());
  const FaultHooks& hooks = FaultLayer::get().hooks();
  if (hooks.edit_queue_families) hooks.edit_queue_families(list);
  copy_list(list, count, out);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_function(VkInstance instance,
                                                               const char* name) {
  if (const PFN_vkVoidFunction own = own_instance_function(name)) return own;
  if (const PFN_vkVoidFunction own = own_device_function(name)) return own;
  if (instance == VK_NULL_HANDLE) return nullptr;
  return instances().of(instance).next(instance, name);
}

}  // namespace

Tables<InstanceTable>& instances() {
  static Tables<InstanceTable> tables;
  return tables;
}

PFN_vkVoidFunction own_instance_function(std::string_view name) {
  static const std::map<std::string_view, PFN_vkVoidFunction> functions = {
      {"vkCreateDevice", erased(create_device)},
      {"vkCreateInstance", erased(create_instance)},
      {"vkDestroyInstance", erased(destroy_instance)},
      {"vkEnumeratePhysicalDevices", erased(enumerate_devices)},
      {"vkEnumerateDeviceExtensionProperties", erased(enumerate_extensions)},
      {"vkGetPhysicalDeviceMemoryProperties", erased(memory_properties)},
      {"vkGetPhysicalDeviceProperties", erased(properties)},
      {"vkGetPhysicalDeviceProperties2", erased(properties2)},
      {"vkGetPhysicalDeviceQueueFamilyProperties", erased(queue_families)},
      {"vkGetInstanceProcAddr", erased(get_instance_function)}};
  const auto found = functions.find(name);
  return found == functions.end() ? nullptr : found->second;
}

}  // namespace vktrain::testing

extern "C" __attribute__((visibility("default"))) VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface* negotiation) {
  constexpr std::uint32_t kVersion = 2;
  if (negotiation->loaderLayerInterfaceVersion < kVersion) return VK_ERROR_INITIALIZATION_FAILED;
  negotiation->loaderLayerInterfaceVersion = kVersion;
  negotiation->pfnGetInstanceProcAddr = reinterpret_cast<PFN_vkGetInstanceProcAddr>(
      vktrain::testing::own_instance_function("vkGetInstanceProcAddr"));
  negotiation->pfnGetDeviceProcAddr = reinterpret_cast<PFN_vkGetDeviceProcAddr>(
      vktrain::testing::own_device_function("vkGetDeviceProcAddr"));
  negotiation->pfnGetPhysicalDeviceProcAddr = nullptr;
  return VK_SUCCESS;
}
