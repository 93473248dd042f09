// The limits that every dispatch is held against before anything is recorded.
#include "runtime/dispatch_check.h"

#include <fmt/format.h>

#include <stdexcept>

#include "runtime/memory_impl.h"

namespace vktrain::runtime {
namespace {

constexpr std::uint64_t kTexelBytes = 16;  // a vec4

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
  if (slice.size % kTexelBytes != 0 || slice.offset % profile.texel_alignment != 0) {
    refuse(dispatch,
           "binding {} (\"{}\") is read as texels: it has {} bytes from byte {}, expected whole "
           "texels of {} bytes from a multiple of {}",
           slot, name, slice.size, slice.offset, kTexelBytes, profile.texel_alignment);
  }
  if (slice.size / kTexelBytes > profile.max_texel_elements) {
    refuse(dispatch, "binding {} (\"{}\") has {} texels, the device reads at most {}", slot, name,
           slice.size / kTexelBytes, profile.max_texel_elements);
  }
}

}  // namespace

void check_dispatch(const Dispatch& dispatch, const DeviceProfile& profile) {
  if (dispatch.bindings.size() > kMaxBindings) {
    refuse(dispatch, "{} bindings, at most {} are possible", dispatch.bindings.size(),
           kMaxBindings);
  }
  for (std::size_t slot = 0; slot < dispatch.bindings.size(); ++slot) {
    check_binding(dispatch, slot, profile);
  }
  if (dispatch.push.size() > kMaxPushBytes || dispatch.push.size() % 4 != 0) {
    refuse(dispatch, "{} bytes of push constants, expected a multiple of 4 up to {}",
           dispatch.push.size(), kMaxPushBytes);
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
