// Whether a kernel and its dispatch fit a device: its own limits, or those that it is held to.
#pragma once

#include "runtime/command_graph.h"
#include "runtime/device.h"
#include "runtime/shader_interface.h"

namespace vktrain::runtime {

// Throws DeviceError, naming the kernel, the limit and what was found: workgroup, shared memory,
// push constants, storage buffers and subgroup operations.
void check_kernel(const KernelKey& kernel, const ShaderInterface& interface,
                  const DeviceProfile& profile);

// Throws std::invalid_argument, naming the dispatch, the limit and what was found.
void check_dispatch(const Dispatch& dispatch, const DeviceProfile& profile);

// Throws std::invalid_argument when the shader uses a binding that the dispatch lacks, writes one
// that the dispatch declares as read (the barriers would be wrong), or reads one as texels that has
// more of them than the device allows, or not whole ones.
void check_bindings(const Dispatch& dispatch, const ShaderInterface& interface,
                    const DeviceProfile& profile);

}  // namespace vktrain::runtime
