// What is known of drivers that they do not tell themselves.
#pragma once

#include <cstdint>
#include <string_view>

namespace vktrain::runtime {

struct DriverQuirk {
  std::string_view driver;           // DeviceProfile::driver_name
  std::string_view text;             // for people
  std::uint32_t max_loop_turns = 0;  // DeviceProfile::max_loop_turns
};

// Without text and limits where nothing is known.
DriverQuirk quirk_of(std::string_view driver);

}  // namespace vktrain::runtime
