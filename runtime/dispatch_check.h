// Whether a dispatch fits a device.
#pragma once

#include "runtime/command_graph.h"
#include "runtime/device.h"

namespace vktrain::runtime {

// Throws std::invalid_argument, naming the dispatch, the limit and what was found.
void check_dispatch(const Dispatch& dispatch, const DeviceProfile& profile);

}  // namespace vktrain::runtime
