// See VK_KHR_pipeline_executable_properties. Names of statistics: radv_shader.c and
// anv_pipeline.c of Mesa, tu_pipeline.cc, and what NVIDIA's driver prints.
#include "runtime/pipeline_statistics.h"

#include <algorithm>
#include <string_view>

#include "runtime/device_impl.h"
#include "runtime/kernel_impl.h"

namespace vktrain::runtime {
namespace {

double value_of(const VkPipelineExecutableStatisticKHR& statistic) {
  switch (statistic.format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
      return statistic.value.b32 != 0 ? 1 : 0;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
      return static_cast<double>(statistic.value.i64);
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
      return static_cast<double>(statistic.value.u64);
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
      return statistic.value.f64;
    default:
      return 0;
  }
}

std::vector<VkPipelineExecutablePropertiesKHR> executables_of(const LogicalDevice& device,
                                                              VkPipeline pipeline) {
  VkPipelineInfoKHR info{};
  info.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR;
  info.pipeline = pipeline;
  const auto& get = device.vk().vkGetPipelineExecutablePropertiesKHR;
  std::uint32_t count = 0;
  check(get(device.handle(), &info, &count, nullptr), "counting a kernel's executables");
  VkPipelineExecutablePropertiesKHR empty{};
  empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
  std::vector<VkPipelineExecutablePropertiesKHR> executables(count, empty);
  check(get(device.handle(), &info, &count, executables.data()), "listing a kernel's executables");
  executables.resize(count);
  return executables;
}

std::vector<PipelineStatistic> statistics_of(const LogicalDevice& device, VkPipeline pipeline,
                                             std::uint32_t executable) {
  VkPipelineExecutableInfoKHR info{};
  info.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR;
  info.pipeline = pipeline;
  info.executableIndex = executable;
  const auto& get = device.vk().vkGetPipelineExecutableStatisticsKHR;
  std::uint32_t count = 0;
  check(get(device.handle(), &info, &count, nullptr), "counting a kernel's statistics");
  VkPipelineExecutableStatisticKHR empty{};
  empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
  std::vector<VkPipelineExecutableStatisticKHR> found(count, empty);
  check(get(device.handle(), &info, &count, found.data()), "reading a kernel's statistics");
  found.resize(count);
  std::vector<PipelineStatistic> statistics;
  for (const auto& statistic : found) statistics.push_back({statistic.name, value_of(statistic)});
  return statistics;
}

// The sum over all of `names` that are there; absent when none is.
std::optional<std::int64_t> sum_of(std::span<const PipelineStatistic> statistics,
                                   std::initializer_list<std::string_view> names) {
  std::optional<std::int64_t> sum;
  for (const PipelineStatistic& statistic : statistics) {
    if (std::ranges::find(names, statistic.name) == names.end()) continue;
    sum = sum.value_or(0) + static_cast<std::int64_t>(statistic.value);
  }
  return sum;
}

}  // namespace

KernelResources resources_of(std::span<const PipelineStatistic> statistics) {
  KernelResources resources;
  resources.scalar_registers = sum_of(statistics, {"SGPRs"});
  resources.vector_registers = sum_of(statistics, {"VGPRs", "Register Count"});
  resources.spills =
      sum_of(statistics, {"Spilled SGPRs", "Spilled VGPRs", "Spill Count", "Fill Count"});
  resources.scratch = sum_of(statistics, {"Scratch size", "Scratch Memory Size", "Stack Size"});
  resources.shared_memory =
      sum_of(statistics, {"LDS size", "Workgroup Memory Size", "Shared Memory Size"});
  resources.code_size = sum_of(statistics, {"Code size", "Code Size", "Binary Size"});
  resources.occupancy = sum_of(statistics, {"Subgroups per SIMD"});
  resources.latency = sum_of(statistics, {"Latency", "Cycle Count"});
  return resources;
}

bool has_pipeline_statistics(Device& device) {
  return device.impl().logical->pipeline_flags() != 0;
}

KernelReport report_kernel(Device& device, const KernelKey& key) {
  const Kernel::Impl& kernel = device.kernels().get(key).impl();
  KernelReport report;
  report.workgroup_size = kernel.interface.workgroup_size.value_or(report.workgroup_size);
  if (!has_pipeline_statistics(device)) return report;
  const LogicalDevice& logical = *device.impl().logical;
  const auto executables = executables_of(logical, kernel.pipeline.get());
  if (executables.empty()) return report;
  // A compute pipeline has one; where a driver has made it for several subgroup sizes, the first.
  report.subgroup_size = executables.front().subgroupSize;
  report.statistics = statistics_of(logical, kernel.pipeline.get(), 0);
  report.resources = resources_of(report.statistics);
  return report;
}

}  // namespace vktrain::runtime
