// Loader, instance, debug messenger. See VK_EXT_debug_utils, VK_EXT_validation_features and
// VK_KHR_portability_enumeration.
#define VOLK_IMPLEMENTATION
#include "runtime/vulkan_loader.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::runtime {
namespace {

constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";

void open_loader() {
  static std::once_flag once;
  static VkResult result = VK_SUCCESS;
  std::call_once(once, [] { result = volkInitialize(); });
  if (result != VK_SUCCESS) {
    throw DeviceError(fmt::format("the Vulkan loader {}", system_words().vulkan_loader));
  }
  if (volkGetInstanceVersion() < VK_API_VERSION_1_1) {
    throw DeviceError("the Vulkan loader is of version 1.0, but 1.1 is needed: update it");
  }
}

// list(count, out) is asked for the count, then for the items. "Incomplete" means that there are
// more by then; a driver that always says so is taken at what it tells.
template <typename T, typename List>
VkResult list_all(List list, std::vector<T>& items) {
  constexpr int kTries = 8;
  VkResult result = VK_INCOMPLETE;
  for (int i = 0; i < kTries && result == VK_INCOMPLETE; ++i) {
    std::uint32_t count = 0;
    result = list(&count, nullptr);
    if (result != VK_SUCCESS) break;
    items.resize(count);
    result = list(&count, items.data());
    items.resize(count);
  }
  return result == VK_INCOMPLETE ? VK_SUCCESS : result;
}

bool has_layer(std::string_view name) {
  std::vector<VkLayerProperties> layers;
  check(list_all(vkEnumerateInstanceLayerProperties, layers), "listing Vulkan layers");
  return std::ranges::any_of(layers, [&](const auto& layer) { return name == layer.layerName; });
}

bool has_instance_extension(std::string_view name) {
  std::vector<VkExtensionProperties> extensions;
  check(list_all(
            [](std::uint32_t* count, VkExtensionProperties* out) {
              return vkEnumerateInstanceExtensionProperties(nullptr, count, out);
            },
            extensions),
        "listing Vulkan extensions");
  return std::ranges::any_of(
      extensions, [&](const auto& extension) { return name == extension.extensionName; });
}

VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                          VkDebugUtilsMessageTypeFlagsEXT,
                                          const VkDebugUtilsMessengerCallbackDataEXT* data,
                                          void* log) {
  static_cast<MessageLog*>(log)->add(data->pMessage);
  return VK_FALSE;
}

VkDebugUtilsMessengerCreateInfoEXT messenger_info(MessageLog& log) {
  VkDebugUtilsMessengerCreateInfoEXT info{};
  info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
  info.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                         VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  // Not GENERAL: the loader warns there about other people's drivers and layers.
  info.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                     VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
  info.pfnUserCallback = on_message;
  info.pUserData = &log;
  return info;
}

std::vector<VkValidationFeatureEnableEXT> enabled_features(ValidationChecks checks) {
  switch (checks) {
    case ValidationChecks::core:
      return {};
    case ValidationChecks::synchronization:
      return {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    case ValidationChecks::gpu_assisted:
      // It takes one more descriptor set, which must be kept free for it.
      return {VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT,
              VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_RESERVE_BINDING_SLOT_EXT};
    case ValidationChecks::best_practices:
      return {VK_VALIDATION_FEATURE_ENABLE_BEST_PRACTICES_EXT};
  }
  return {};
}

}  // namespace

std::optional<ValidationChecks> parse_validation_checks(std::string_view text) {
  if (text == "core") return ValidationChecks::core;
  if (text == "sync") return ValidationChecks::synchronization;
  if (text == "gpu") return ValidationChecks::gpu_assisted;
  if (text == "best-practices") return ValidationChecks::best_practices;
  return std::nullopt;
}

std::string_view to_string(VkResult result) {
  switch (result) {
    case VK_SUCCESS:
      return "success";
    case VK_NOT_READY:
      return "not ready";
    case VK_INCOMPLETE:
      return "incomplete";
    case VK_PIPELINE_COMPILE_REQUIRED:
      return "compilation required";
    case VK_TIMEOUT:
      return "timeout";
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return "out of host memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return "out of device memory";
    case VK_ERROR_INITIALIZATION_FAILED:
      return "initialization failed";
    case VK_ERROR_DEVICE_LOST:
      return "device lost";
    case VK_ERROR_MEMORY_MAP_FAILED:
      return "memory map failed";
    case VK_ERROR_LAYER_NOT_PRESENT:
      return "layer not present";
    case VK_ERROR_EXTENSION_NOT_PRESENT:
      return "extension not present";
    case VK_ERROR_FEATURE_NOT_PRESENT:
      return "feature not present";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
      return "no compatible driver";
    case VK_ERROR_TOO_MANY_OBJECTS:
      return "too many objects";
    case VK_ERROR_FRAGMENTED_POOL:
      return "fragmented pool";
    case VK_ERROR_OUT_OF_POOL_MEMORY:
      return "out of pool memory";
    case VK_ERROR_INVALID_SHADER_NV:
      return "invalid shader";
    default:
      return "unknown Vulkan error";
  }
}

std::string_view way_out(VkResult result) {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_MEMORY_MAP_FAILED:
    case VK_ERROR_TOO_MANY_OBJECTS:
      return "use a smaller model or batch, free memory that other programs hold, or choose "
             "another device";
    case VK_ERROR_DEVICE_LOST:
      return "its driver or a watchdog stopped it: submit less work at a time, and start again";
    default:
      return "update the driver or choose another device";
  }
}

void check(VkResult result, std::string_view what) {
  if (result == VK_SUCCESS) return;
  const std::string message = fmt::format("{}: {} (VkResult {}); {}", what, to_string(result),
                                          static_cast<int>(result), way_out(result));
  if (result == VK_ERROR_DEVICE_LOST) throw DeviceLostError(message);
  throw DeviceError(message);
}

void MessageLog::add(std::string_view message) {
  {
    std::lock_guard lock(mutex_);
    messages_.emplace_back(message);
  }
  if (handler_) handler_(message);
}

std::vector<std::string> MessageLog::messages() const {
  std::lock_guard lock(mutex_);
  return messages_;
}

// Delegates, so that the destructor also runs when this body throws.
Instance::Instance(bool validate, MessageHandler handler, ValidationChecks checks)
    : Instance(std::move(handler), validate) {
  open_loader();
  if (validate_ && !has_layer(kValidationLayer)) {
    throw DeviceError(
        "the Vulkan validation layer (VK_LAYER_KHRONOS_validation) is not installed: on Debian and "
        "Ubuntu `apt install vulkan-validationlayers`, or run without validation");
  }
  create(checks);
  if (instance_ != VK_NULL_HANDLE) load_functions();
}

void Instance::create(ValidationChecks checks) {
  VkApplicationInfo application{};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.pApplicationName = "vktrain";
  application.apiVersion = VK_API_VERSION_1_1;

  std::vector<const char*> extensions;
  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &application;
  // Without it the loader hides layered drivers such as MoltenVK.
  if (has_instance_extension(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)) {
    extensions.push_back(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
    info.flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
  }

  const std::vector<VkValidationFeatureEnableEXT> enabled = enabled_features(checks);
  VkValidationFeaturesEXT features{};
  features.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
  features.enabledValidationFeatureCount = static_cast<std::uint32_t>(enabled.size());
  features.pEnabledValidationFeatures = enabled.data();
  // Chained into the instance, the messenger also hears vkCreateInstance and vkDestroyInstance.
  VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(log_);
  messenger.pNext = &features;
  if (validate_) {
    extensions.push_back(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    info.pNext = &messenger;
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &kValidationLayer;
  }
  info.enabledExtensionCount = static_cast<std::uint32_t>(extensions.size());
  info.ppEnabledExtensionNames = extensions.data();

  VkInstance made = VK_NULL_HANDLE;
  const VkResult result = vkCreateInstance(&info, nullptr, &made);
  // The loader's word for "no driver installed".
  if (result == VK_ERROR_INCOMPATIBLE_DRIVER) return;
  check(result, "creating a Vulkan instance");
  instance_ = made;
}

PFN_vkVoidFunction Instance::function(const char* name) const {
  return vkGetInstanceProcAddr(instance_, name);
}

void Instance::load_functions() {
#define VKTRAIN_LOAD(name) \
  vk_.name = reinterpret_cast<PFN_##name>(vkGetInstanceProcAddr(instance_, #name));
  VKTRAIN_INSTANCE_FUNCTIONS(VKTRAIN_LOAD)
#undef VKTRAIN_LOAD
  if (!validate_) return;
  const VkDebugUtilsMessengerCreateInfoEXT info = messenger_info(log_);
  VkDebugUtilsMessengerEXT made = VK_NULL_HANDLE;
  check(vk_.vkCreateDebugUtilsMessengerEXT(instance_, &info, nullptr, &made),
        "creating the validation messenger");
  messenger_ = made;
}

Instance::~Instance() {
  if (instance_ == VK_NULL_HANDLE) return;
  if (messenger_ != VK_NULL_HANDLE) {
    vk_.vkDestroyDebugUtilsMessengerEXT(instance_, messenger_, nullptr);
  }
  vk_.vkDestroyInstance(instance_, nullptr);
}

std::vector<VkPhysicalDevice> Instance::physical_devices() const {
  std::vector<VkPhysicalDevice> devices;
  if (instance_ == VK_NULL_HANDLE) return devices;
  const VkResult result = list_all(
      [this](std::uint32_t* count, VkPhysicalDevice* out) {
        return vk_.vkEnumeratePhysicalDevices(instance_, count, out);
      },
      devices);
  // Loaders answer "initialization failed" when every installed driver failed to start.
  if (result == VK_ERROR_INITIALIZATION_FAILED) return {};
  check(result, "listing Vulkan devices");
  return devices;
}

std::vector<std::string> Instance::extensions(VkPhysicalDevice physical) const {
  std::vector<VkExtensionProperties> properties;
  check(list_all(
            [&](std::uint32_t* count, VkExtensionProperties* out) {
              return vk_.vkEnumerateDeviceExtensionProperties(physical, nullptr, count, out);
            },
            properties),
        "listing device extensions");
  std::vector<std::string> names;
  for (const auto& property : properties) names.emplace_back(property.extensionName);
  return names;
}

}  // namespace vktrain::runtime
