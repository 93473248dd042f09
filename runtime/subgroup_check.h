// A small dispatch that finds drivers whose subgroups are not what they say. Private to the runtime
// room.
#pragma once

#include <string>

#include "runtime/device.h"

namespace vktrain::runtime {

// What is wrong with shuffles or with the size of a subgroup, such as "a subgroup has 4 lanes
// instead of 8"; empty when both are as the profile says. Throws DeviceError when the device fails.
std::string subgroup_problem(Device& device);

}  // namespace vktrain::runtime
