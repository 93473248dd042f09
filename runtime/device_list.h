// What makes a device usable: the floor of docs/architecture.md as a pure function, so that it can
// be tested without the devices that fall below it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/device.h"

namespace vktrain::runtime {

struct FloorFacts {
  std::uint32_t api_major = 1;
  std::uint32_t api_minor = 1;
  bool compute_queue = true;
  bool staging_memory = true;  // a memory type that is host-visible and coherent
};

// Every reason why the device cannot be used; empty when it can.
std::vector<std::string> refusal_reasons(const DeviceProfile& profile, const FloorFacts& facts);

}  // namespace vktrain::runtime
