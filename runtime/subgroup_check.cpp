// The host's half of shaders/subgroup_check.comp.
#include "runtime/subgroup_check.h"

#include <fmt/format.h>

#include <vector>

#include "runtime/command_graph.h"
#include "runtime/memory.h"

namespace vktrain::runtime {
namespace {

std::uint32_t value_of(std::uint32_t lane) { return lane * 2654435761u + 12345u; }

std::string compare(std::span<const std::uint32_t> found, std::uint32_t lanes) {
  for (std::uint32_t lane = 0; lane < lanes; ++lane) {
    const auto row = found.subspan(std::size_t{lane} * (lanes + 3), lanes + 3);
    if (row[0] != lanes) {
      return fmt::format("a subgroup has {} lanes instead of {}", row[0], lanes);
    }
    if (row[1] != lane) return fmt::format("invocation {} is lane {}", lane, row[1]);
    bool right = row[2] == value_of((lane + 1) % lanes);
    for (std::uint32_t i = 0; i < lanes; ++i) right = right && row[3 + i] == value_of(i);
    if (!right) return fmt::format("lane {} gets wrong values by a shuffle", lane);
  }
  return {};
}

}  // namespace

std::string subgroup_problem(Device& device) {
  const std::uint32_t lanes = device.profile().subgroup_size;
  if (lanes == 0 || lanes > device.profile().max_workgroup_invocations) {
    return fmt::format("subgroups of {} lanes do not fit a workgroup", lanes);
  }
  const KernelKey kernel = {"subgroup_check", {lanes}};
  if (std::string why; !device.kernels().try_prepare(kernel, &why)) return why;
  std::vector<std::uint32_t> found(std::size_t{lanes} * (lanes + 3));
  const Buffer buffer(device, found.size() * sizeof found[0], "subgroup check");
  CommandGraph graph(device);
  Dispatch dispatch;
  dispatch.label = "subgroup check";
  dispatch.kernel = kernel;
  dispatch.bindings = {{{&buffer, 0, buffer.size()}, Access::write}};
  graph.add(std::move(dispatch));
  graph.record();
  graph.run();
  device.download({&buffer, 0, buffer.size()}, std::as_writable_bytes(std::span(found)));
  return compare(found, lanes);
}

}  // namespace vktrain::runtime
