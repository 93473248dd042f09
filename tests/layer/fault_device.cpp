// The layer's functions of a device: wrappers around those that can fail, with counts of the
// objects.
#include <algorithm>

#include "tests/layer/fault_layer.h"
#include "tests/layer/fault_notes.h"
#include "tests/layer/fault_tables.h"

namespace vktrain::testing {
namespace {

constexpr std::uintptr_t kPoison = 0xdeadbeef;  // what a failed call may leave in its output

template <typename Handle>
void poison(Handle* handle) {
  *handle = reinterpret_cast<Handle>(kPoison);
}

// What a test lets a call of the device end in. A device that is lost is idle, as its driver has
// given up; the one below is made idle, so that its objects may be destroyed.
VkResult enter(const DeviceTable& table, std::string_view function, std::uint64_t module = 0) {
  const VkResult result = FaultLayer::get().enter(function, module);
  if (result == VK_ERROR_DEVICE_LOST) {
    table.vkDeviceWaitIdle(table.device);
    FaultLayer::get().uses().end_all(key_of(table.device));
  }
  return result;
}

struct Name {
  template <std::size_t n>
  consteval Name(const char (&literal)[n]) {  // NOLINT(google-explicit-constructor)
    std::copy_n(literal, n, text);
  }
  char text[40] = {};
};

template <auto next, Name function, Name type, typename Info, typename Handle>
VKAPI_ATTR VkResult VKAPI_CALL create(VkDevice device, const Info* info,
                                      const VkAllocationCallbacks* allocator, Handle* handle) {
  const DeviceTable& table = devices().of(device);
  if (const VkResult fault = enter(table, function.text); fault != VK_SUCCESS) {
    poison(handle);
    return fault;
  }
  const VkResult result = (table.*next)(device, info, allocator, handle);
  if (result != VK_SUCCESS) return result;
  FaultLayer::get().born(type.text, number_of(*handle), number_of(device));
  Note<next>::after(device, info, allocator, handle);
  return result;
}

template <auto next, Name type, typename Handle>
VKAPI_ATTR void VKAPI_CALL destroy(VkDevice device, Handle handle,
                                   const VkAllocationCallbacks* allocator) {
  FaultLayer::get().died(type.text, number_of(handle));
  (devices().of(device).*next)(device, handle, allocator);
}

template <auto next, Name function>
struct Call;
template <typename First, typename... Rest,
          VkResult (VKAPI_PTR* DeviceTable::*next)(First, Rest...), Name function>
struct Call<next, function> {
  static VKAPI_ATTR VkResult VKAPI_CALL call(First object, Rest... rest) {
    const DeviceTable& table = devices().of(object);
    if (const VkResult fault = enter(table, function.text); fault != VK_SUCCESS) return fault;
    const VkResult result = (table.*next)(object, rest...);
    if (result == VK_SUCCESS) Note<next>::after(object, rest...);
    return result;
  }
};
template <typename First, typename... Rest, void (VKAPI_PTR* DeviceTable::*next)(First, Rest...),
          Name function>
struct Call<next, function> {
  static VKAPI_ATTR void VKAPI_CALL call(First object, Rest... rest) {
    (devices().of(object).*next)(object, rest...);
    Note<next>::after(object, rest...);
  }
};

VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice device, const VkMemoryAllocateInfo* info,
                                               const VkAllocationCallbacks* allocator,
                                               VkDeviceMemory* memory) {
  const DeviceTable& table = devices().of(device);
  FaultLayer& layer = FaultLayer::get();
  layer.note_memory_type(info->memoryTypeIndex);
  if (const VkResult fault = enter(table, "vkAllocateMemory"); fault != VK_SUCCESS) {
    poison(memory);
    return fault;
  }
  VkMemoryAllocateInfo real = *info;
  if (layer.hooks().edit_memory) real.memoryTypeIndex = 0;
  const VkResult result = table.vkAllocateMemory(device, &real, allocator, memory);
  if (result == VK_SUCCESS) layer.born("VkDeviceMemory", number_of(*memory), number_of(device));
  return result;
}

VKAPI_ATTR void VKAPI_CALL memory_requirements(VkDevice device, VkBuffer buffer,
                                               VkMemoryRequirements* requirements) {
  devices().of(device).vkGetBufferMemoryRequirements(device, buffer, requirements);
  if (FaultLayer::get().hooks().edit_memory) requirements->memoryTypeBits = ~0u;
}

VKAPI_ATTR VkResult VKAPI_CALL create_shader_module(VkDevice device,
                                                    const VkShaderModuleCreateInfo* info,
                                                    const VkAllocationCallbacks* allocator,
                                                    VkShaderModule* module) {
  const DeviceTable& table = devices().of(device);
  FaultLayer& layer = FaultLayer::get();
  if (const VkResult fault = enter(table, "vkCreateShaderModule"); fault != VK_SUCCESS) {
    poison(module);
    return fault;
  }
  const std::span<const std::uint32_t> code(info->pCode, info->codeSize / 4);
  const std::vector<std::uint32_t> edited = layer.module_code(code);
  VkShaderModuleCreateInfo real = *info;
  real.codeSize = edited.size() * 4;
  real.pCode = edited.data();
  const VkResult result = table.vkCreateShaderModule(device, &real, allocator, module);
  if (result != VK_SUCCESS) return result;
  layer.keep_module(number_of(*module), code);
  layer.born("VkShaderModule", number_of(*module), number_of(device));
  return result;
}

VKAPI_ATTR VkResult VKAPI_CALL create_pipelines(VkDevice device, VkPipelineCache cache,
                                                std::uint32_t count,
                                                const VkComputePipelineCreateInfo* infos,
                                                const VkAllocationCallbacks* allocator,
                                                VkPipeline* pipelines) {
  const DeviceTable& table = devices().of(device);
  const std::uint64_t module = number_of(infos->stage.module);
  if (const VkResult fault = enter(table, "vkCreateComputePipelines", module);
      fault != VK_SUCCESS) {
    std::fill_n(pipelines, count, VkPipeline{VK_NULL_HANDLE});  // as the specification demands
    return fault;
  }
  const VkResult result =
      table.vkCreateComputePipelines(device, cache, count, infos, allocator, pipelines);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (pipelines[i] == VK_NULL_HANDLE) continue;
    FaultLayer::get().born("VkPipeline", number_of(pipelines[i]), number_of(device));
  }
  return result;
}

VKAPI_ATTR void VKAPI_CALL destroy_device(VkDevice device, const VkAllocationCallbacks* allocator) {
  if (device == VK_NULL_HANDLE) return;
  const void* key = key_of(device);
  const PFN_vkDestroyDevice next = devices().of(device).vkDestroyDevice;
  FaultLayer::get().device_dies(number_of(device));
  FaultLayer::get().died("VkDevice", number_of(device));
  next(device, allocator);
  devices().erase(key);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_function(VkDevice device, const char* name) {
  if (const PFN_vkVoidFunction own = own_device_function(name)) return own;
  return devices().of(device).next(device, name);
}

}  // namespace

Tables<DeviceTable>& devices() {
  static Tables<DeviceTable> tables;
  return tables;
}

PFN_vkVoidFunction own_device_function(std::string_view name) {
#define FAULT_CREATE_ENTRY(type)                                                               \
  {"vkCreate" #type, erased(create<&DeviceTable::vkCreate##type, "vkCreate" #type, "Vk" #type, \
                                   Vk##type##CreateInfo, Vk##type>)},                          \
      {"vkDestroy" #type, erased(destroy<&DeviceTable::vkDestroy##type, "Vk" #type, Vk##type>)},
#define FAULT_CALL_ENTRY(name) {#name, erased(Call<&DeviceTable::name, #name>::call)},
  static const std::map<std::string_view, PFN_vkVoidFunction> functions = {
      FAULT_CREATED(FAULT_CREATE_ENTRY) FAULT_CALLED(FAULT_CALL_ENTRY)
          FAULT_NOTED(FAULT_CALL_ENTRY){"vkAllocateMemory", erased(allocate_memory)},
      {"vkFreeMemory",
       erased(destroy<&DeviceTable::vkFreeMemory, "VkDeviceMemory", VkDeviceMemory>)},
      {"vkGetBufferMemoryRequirements", erased(memory_requirements)},
      {"vkCreateShaderModule", erased(create_shader_module)},
      {"vkDestroyShaderModule",
       erased(destroy<&DeviceTable::vkDestroyShaderModule, "VkShaderModule", VkShaderModule>)},
      {"vkCreateComputePipelines", erased(create_pipelines)},
      {"vkDestroyPipeline",
       erased(destroy<&DeviceTable::vkDestroyPipeline, "VkPipeline", VkPipeline>)},
      {"vkDestroyDevice", erased(destroy_device)},
      {"vkGetDeviceProcAddr", erased(get_device_function)}};
  const auto found = functions.find(name);
  return found == functions.end() ? nullptr : found->second;
}

}  // namespace vktrain::testing
