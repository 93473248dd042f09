#include "nn/check/other_devices.h"

#include <limits>

namespace vktrain::nn {

std::vector<OtherDevice> other_devices(const runtime::DeviceProfile& own, bool all_kernels) {
  const bool cpu = own.kind == runtime::DeviceKind::cpu;
  const std::string not_asked = cpu && !all_kernels ? "; --all-kernels runs it here" : "";
  OtherDevice small = {own, cpu && all_kernels, "for GPUs" + not_asked};
  small.profile.kind = runtime::DeviceKind::discrete;
  OtherDevice large = {small.profile, false, "needs a larger workgroup or more shared memory"};
  large.profile.max_workgroup_invocations = 1024;
  large.profile.max_workgroup_size = {1024, 1024, 64};
  large.profile.max_shared_memory = 65536;
  OtherDevice plain = {own, cpu && all_kernels,
                       (cpu ? "for other CPU drivers" : "for CPU drivers") + not_asked};
  plain.profile.kind = runtime::DeviceKind::cpu;
  plain.profile.subgroup_shuffle = false;
  OtherDevice lanes = {plain.profile, false,
                       cpu ? "needs subgroups of 8 with shuffles" : "for CPU drivers"};
  lanes.profile.subgroup_shuffle = true;
  lanes.profile.subgroup_size = 8;
  lanes.profile.max_texel_elements = std::numeric_limits<std::uint64_t>::max();
  lanes.profile.texel_alignment = 1;
  return {std::move(small), std::move(large), std::move(lanes), std::move(plain)};
}

}  // namespace vktrain::nn
