// What a driver tells of a kernel that it compiled: registers, spills, code size, through
// VK_KHR_pipeline_executable_properties. Nothing is run for it, so that it works on drivers without
// hardware, too (RADV's null device).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/device.h"
#include "runtime/kernel.h"

namespace vktrain::runtime {

// In the driver's own words.
struct PipelineStatistic {
  std::string name;
  double value = 0;  // booleans as 0 and 1
};

// The statistics that mean the same on several drivers; absent where the driver does not tell.
struct KernelResources {
  std::optional<std::int64_t> scalar_registers;  // of a subgroup (AMD)
  std::optional<std::int64_t> vector_registers;  // of an invocation
  std::optional<std::int64_t> spills;            // registers, or instructions, that went to memory
  std::optional<std::int64_t> scratch;           // bytes of memory for spills and arrays
  std::optional<std::int64_t> shared_memory;     // bytes of a workgroup
  std::optional<std::int64_t> code_size;         // bytes
  std::optional<std::int64_t> occupancy;         // subgroups at once on a SIMD unit (AMD)
  std::optional<std::int64_t> latency;           // the compiler's estimate, in cycles

  bool leaves_registers() const { return spills.value_or(0) > 0 || scratch.value_or(0) > 0; }
};

struct KernelReport {
  std::array<std::uint32_t, 3> workgroup_size{};  // 0: the shader does not say
  std::optional<std::uint32_t> subgroup_size;     // that the driver compiled for
  std::vector<PipelineStatistic> statistics;
  KernelResources resources;
};

// Picks the common ones out of the names that RADV, Intel's, NVIDIA's and Qualcomm's drivers use.
KernelResources resources_of(std::span<const PipelineStatistic> statistics);

// Whether the device was opened with DeviceOptions::pipeline_statistics and its driver has any.
bool has_pipeline_statistics(Device& device);

// Compiles the kernel if need be; throws what KernelCache::get throws. Without statistics only the
// workgroup's size is told.
KernelReport report_kernel(Device& device, const KernelKey& key);

}  // namespace vktrain::runtime
