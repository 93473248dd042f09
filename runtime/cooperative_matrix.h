// VK_KHR_cooperative_matrix: whether a device has matrix units for products of half floats with f32
// sums, and what it must be opened with to use them. Private to the runtime room.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/vulkan_loader.h"

namespace vktrain::runtime {

// M, N and K of the largest matrices (by M * N * K) of half floats, with f32 sums, that a subgroup
// of a compute shader can multiply; zeros where the device has none, or lacks one of
// `matrix_extensions` or its feature. `extensions`: of the device.
std::array<std::uint32_t, 3> query_half_matrix(const Instance& instance, VkPhysicalDevice physical,
                                               const std::vector<std::string>& extensions);

// Extensions that gemm_matrix needs (the last for subgroups without idle lanes), and the features
// of them as a chain for vkCreateDevice.
inline constexpr std::array kMatrixExtensions = {
    "VK_KHR_cooperative_matrix", VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME,
    VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME};

class MatrixFeatures {
 public:
  MatrixFeatures();
  MatrixFeatures(const MatrixFeatures&) = delete;  // holds pointers to itself
  MatrixFeatures& operator=(const MatrixFeatures&) = delete;

  void* chain() { return &matrix_; }
  void set_next(void* next) { subgroups_.pNext = next; }
  bool all() const;  // after vkGetPhysicalDeviceFeatures2 has filled the chain
  void request_all();

 private:
  // VkPhysicalDeviceCooperativeMatrixFeaturesKHR, which headers before 1.3.255 do not have.
  struct {
    VkStructureType sType;
    void* pNext;
    VkBool32 cooperativeMatrix;
    VkBool32 cooperativeMatrixRobustBufferAccess;
  } matrix_{};
  VkPhysicalDeviceVulkanMemoryModelFeaturesKHR memory_model_{};
  VkPhysicalDeviceShaderFloat16Int8FeaturesKHR float16_{};
  VkPhysicalDeviceSubgroupSizeControlFeaturesEXT subgroups_{};
};

}  // namespace vktrain::runtime
