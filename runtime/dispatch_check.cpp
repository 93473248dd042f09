// The limits that every dispatch is held against before anything is recorded.
#include "runtime/dispatch_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "runtime/error.h"
#include "runtime/memory_impl.h"

namespace vktrain::runtime {
namespace {

template <typename... Args>
[[noreturn]] void refuse(const Dispatch& dispatch, fmt::format_string<Args...> format,
                         Args&&... args) {
  throw std::invalid_argument(fmt::format("dispatch \"{}\" ({}): {}", dispatch.label,
                                          to_string(dispatch.kernel),
                                          fmt::format(format, std::forward<Args>(args)...)));
}

void check_binding(const Dispatch& dispatch, std::size_t slot, const DeviceProfile& profile) {
  const Slice& slice = dispatch.bindings[slot].slice;
  check_slice(slice, fmt::format("dispatch \"{}\" ({}), binding {}", dispatch.label,
                                 to_string(dispatch.kernel), slot));
  const std::string& name = slice.buffer->name();
  if (slice.size == 0) refuse(dispatch, "binding {} (\"{}\") has size 0", slot, name);
  if (slice.size > profile.max_storage_range) {
    refuse(dispatch, "binding {} (\"{}\") has {} bytes, the device binds at most {}", slot, name,
           slice.size, profile.max_storage_range);
  }
  if (slice.offset % profile.storage_alignment != 0) {
    refuse(dispatch, "binding {} (\"{}\") starts at byte {}, the device needs multiples of {}",
           slot, name, slice.offset, profile.storage_alignment);
  }
}

void check_texels(const Dispatch& dispatch, std::size_t slot, const DeviceProfile& profile) {
  if (slot >= dispatch.bindings.size()) {
    refuse(dispatch, "the shader reads binding {} as texels, but only {} are bound", slot,
           dispatch.bindings.size());
  }
  const Slice& slice = dispatch.bindings[slot].slice;
  const std::string& name = slice.buffer->name();
  const std::uint32_t bytes = texel_bytes(dispatch.bindings[slot].texels);
  if (slice.size % bytes != 0 || slice.offset % profile.texel_alignment != 0) {
    refuse(dispatch,
           "binding {} (\"{}\") is read as texels: it has {} bytes from byte {}, expected whole "
           "texels of {} bytes from a multiple of {}",
           slot, name, slice.size, slice.offset, bytes, profile.texel_alignment);
  }
  if (slice.size / bytes > profile.max_texel_elements) {
    refuse(dispatch, "binding {} (\"{}\") has {} texels, the device reads at most {}", slot, name,
           slice.size / bytes, profile.max_texel_elements);
  }
}

// "its 20480 bytes of shared memory do not fit", "16384".
[[noreturn]] void refuse_kernel(const KernelKey& kernel, const DeviceProfile& profile,
                                std::string_view problem, std::string_view allowed) {
  throw DeviceError(fmt::format(
      "kernel {}: {} \"{}\", which allows {}{}", to_string(kernel), problem, profile.name, allowed,
      profile.limits.empty() ? "" : fmt::format(" within the limits of \"{}\"", profile.limits)));
}

void check_count(const KernelKey& kernel, const DeviceProfile& profile, std::uint64_t count,
                 std::string_view what, std::uint64_t allowed) {
  if (count <= allowed) return;
  refuse_kernel(kernel, profile, fmt::format("its {} {} do not fit", count, what),
                std::to_string(allowed));
}

void check_workgroup(const KernelKey& kernel, const ShaderInterface& interface,
                     const DeviceProfile& profile) {
  const auto& size = interface.workgroup_size;
  if (!size) return;
  std::uint64_t invocations = 1;
  bool fits = true;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    fits = fits && (*size)[axis] >= 1 && (*size)[axis] <= profile.max_workgroup_size[axis];
    invocations *= (*size)[axis];
  }
  if (fits && invocations <= profile.max_workgroup_invocations) return;
  const auto& most = profile.max_workgroup_size;
  refuse_kernel(
      kernel, profile,
      fmt::format("a workgroup of {}x{}x{} does not fit", (*size)[0], (*size)[1], (*size)[2]),
      fmt::format("{} invocations and {}x{}x{}", profile.max_workgroup_invocations, most[0],
                  most[1], most[2]));
}

void check_subgroups(const KernelKey& kernel, const ShaderInterface& interface,
                     const DeviceProfile& profile) {
  constexpr std::uint32_t kBasic = ShaderInterface::kSubgroupBasic;
  constexpr std::uint32_t kShuffle = ShaderInterface::kSubgroupShuffle;
  const std::uint32_t offered =
      (profile.subgroup_size > 0 ? kBasic : 0) | (profile.subgroup_shuffle ? kBasic | kShuffle : 0);
  if ((interface.subgroup_operations & ~offered) == 0) return;
  refuse_kernel(kernel, profile,
                fmt::format("its subgroup operations {:#x} (VkSubgroupFeatureFlagBits) do not fit",
                            interface.subgroup_operations),
                fmt::format("{:#x}", offered));
}

}  // namespace

void check_kernel(const KernelKey& kernel, const ShaderInterface& interface,
                  const DeviceProfile& profile) {
  check_workgroup(kernel, interface, profile);
  if (!interface.shared_memory) {
    refuse_kernel(kernel, profile, "its shared memory, whose size cannot be told, does not fit",
                  fmt::format("{} bytes", profile.max_shared_memory));
  }
  check_count(kernel, profile, *interface.shared_memory, "bytes of shared memory",
              profile.max_shared_memory);
  check_count(kernel, profile, interface.push_constants, "bytes of push constants",
              profile.max_push_constants);
  check_count(kernel, profile, static_cast<std::uint64_t>(std::popcount(interface.used_bindings)),
              "storage buffers", profile.max_storage_buffers);
  check_subgroups(kernel, interface, profile);
  if (interface.cooperative_matrices && profile.half_matrix[0] == 0) {
    refuse_kernel(kernel, profile, "its cooperative matrices do not fit", "none");
  }
}

void check_dispatch(const Dispatch& dispatch, const DeviceProfile& profile) {
  if (dispatch.bindings.size() > kMaxBindings) {
    refuse(dispatch, "{} bindings, at most {} are possible", dispatch.bindings.size(),
           kMaxBindings);
  }
  for (std::size_t slot = 0; slot < dispatch.bindings.size(); ++slot) {
    check_binding(dispatch, slot, profile);
  }
  const std::size_t most_push = std::min<std::size_t>(kMaxPushBytes, profile.max_push_constants);
  if (dispatch.push.size() > most_push || dispatch.push.size() % 4 != 0) {
    refuse(dispatch, "{} bytes of push constants, expected a multiple of 4 up to {}",
           dispatch.push.size(), most_push);
  }
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::uint32_t limit = profile.max_workgroup_count[axis];
    if (dispatch.groups[axis] < 1 || dispatch.groups[axis] > limit) {
      refuse(dispatch, "{} groups on axis {}, expected 1 to {}", dispatch.groups[axis], "xyz"[axis],
             limit);
    }
  }
}

void check_bindings(const Dispatch& dispatch, const ShaderInterface& interface,
                    const DeviceProfile& profile) {
  for (std::size_t slot = 0; slot < kMaxBindings; ++slot) {
    if (interface.texel_bindings & (1u << slot)) check_texels(dispatch, slot, profile);
  }
  for (std::uint32_t slot = 0; slot < 32; ++slot) {
    const std::uint32_t bit = 1u << slot;
    if (!(interface.used_bindings & bit)) continue;
    if (slot >= dispatch.bindings.size()) {
      refuse(dispatch, "the shader uses binding {}, but only {} are bound", slot,
             dispatch.bindings.size());
    }
    const Binding& binding = dispatch.bindings[slot];
    if ((interface.written_bindings & bit) && binding.access == Access::read) {
      refuse(dispatch, "the shader writes binding {} (\"{}\"), which is declared as read", slot,
             binding.slice.buffer->name());
    }
  }
}

}  // namespace vktrain::runtime
