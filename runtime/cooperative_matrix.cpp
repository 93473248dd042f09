// Numbers and structures are those of VK_KHR_cooperative_matrix in the Vulkan registry; Debian 12's
// headers are older than that extension.
#include "runtime/cooperative_matrix.h"

#include <algorithm>

namespace vktrain::runtime {
namespace {

constexpr auto kMatrixFeaturesType = static_cast<VkStructureType>(1000506000);
constexpr auto kMatrixPropertiesType = static_cast<VkStructureType>(1000506001);
constexpr std::int32_t kFloat16 = 0;  // VkComponentTypeKHR
constexpr std::int32_t kFloat32 = 1;
constexpr std::int32_t kSubgroupScope = 3;  // VkScopeKHR

// VkCooperativeMatrixPropertiesKHR.
struct MatrixProperties {
  VkStructureType sType = kMatrixPropertiesType;
  void* pNext = nullptr;
  std::uint32_t m = 0, n = 0, k = 0;
  std::int32_t a = 0, b = 0, c = 0, result = 0;
  VkBool32 saturating = VK_FALSE;
  std::int32_t scope = 0;

  bool fits() const {
    return a == kFloat16 && b == kFloat16 && c == kFloat32 && result == kFloat32 &&
           scope == kSubgroupScope && saturating == VK_FALSE;
  }
  // Rows in shared memory begin at multiples of 16 bytes and are moved by vec4.
  bool whole_vectors() const { return m % 8 == 0 && n % 8 == 0 && k % 8 == 0; }
  std::uint64_t products() const { return std::uint64_t{m} * n * k; }
};

using GetMatrixProperties = VkResult(VKAPI_PTR*)(VkPhysicalDevice, std::uint32_t*,
                                                 MatrixProperties*);

std::vector<MatrixProperties> matrix_properties(const Instance& instance,
                                                VkPhysicalDevice physical) {
  const auto get = reinterpret_cast<GetMatrixProperties>(
      instance.function("vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
  std::uint32_t count = 0;
  if (!get || get(physical, &count, nullptr) != VK_SUCCESS) return {};
  std::vector<MatrixProperties> all(count);
  if (get(physical, &count, all.data()) != VK_SUCCESS) return {};
  all.resize(count);
  return all;
}

// VkPhysicalDeviceCooperativeMatrixPropertiesKHR.
struct MatrixStages {
  VkStructureType sType = static_cast<VkStructureType>(1000506002);
  void* pNext = nullptr;
  VkShaderStageFlags stages = 0;
};

bool in_compute_shaders(const Instance& instance, VkPhysicalDevice physical) {
  MatrixStages stages;
  VkPhysicalDeviceProperties2 properties{};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  properties.pNext = &stages;
  instance.vk().vkGetPhysicalDeviceProperties2(physical, &properties);
  return (stages.stages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
}

bool has_features(const Instance& instance, VkPhysicalDevice physical) {
  MatrixFeatures features;
  VkPhysicalDeviceFeatures2 chain{};
  chain.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  chain.pNext = features.chain();
  instance.vk().vkGetPhysicalDeviceFeatures2(physical, &chain);
  return features.all();
}

}  // namespace

MatrixFeatures::MatrixFeatures() {
  matrix_.sType = kMatrixFeaturesType;
  matrix_.pNext = &memory_model_;
  memory_model_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES_KHR;
  memory_model_.pNext = &float16_;
  float16_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES_KHR;
  float16_.pNext = &subgroups_;
  subgroups_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT;
}

bool MatrixFeatures::all() const {
  return matrix_.cooperativeMatrix && memory_model_.vulkanMemoryModel && float16_.shaderFloat16 &&
         subgroups_.computeFullSubgroups;
}

void MatrixFeatures::request_all() {
  matrix_.cooperativeMatrix = VK_TRUE;
  memory_model_.vulkanMemoryModel = VK_TRUE;
  float16_.shaderFloat16 = VK_TRUE;
  subgroups_.computeFullSubgroups = VK_TRUE;
}

std::array<std::uint32_t, 3> query_half_matrix(const Instance& instance, VkPhysicalDevice physical,
                                               const std::vector<std::string>& extensions) {
  const auto listed = [&extensions](const char* name) {
    return std::ranges::find(extensions, name) != extensions.end();
  };
  if (!std::ranges::all_of(kMatrixExtensions, listed) || !has_features(instance, physical) ||
      !in_compute_shaders(instance, physical)) {
    return {};
  }
  MatrixProperties best;
  for (const MatrixProperties& properties : matrix_properties(instance, physical)) {
    if (!properties.fits() || !properties.whole_vectors()) continue;
    if (properties.products() > best.products()) best = properties;
  }
  return {best.m, best.n, best.k};
}

}  // namespace vktrain::runtime
