// Lists of sizes on the command line of `vktrain bench`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vktrain::app {

// "64,512", "64-512+64" (an arithmetic series), "256-4096*2" (a geometric one), or several of these
// with commas between, in this order. Throws UsageError, naming the option, for anything else, a
// size below `least` or above 2^31 - 1, and more than 1024 sizes.
std::vector<std::int64_t> parse_sizes(std::string_view text, std::string_view option,
                                      std::int64_t least = 1);

// The parts between commas, without empty ones; throws UsageError when there are none.
std::vector<std::string> parse_names(std::string_view text, std::string_view option);

}  // namespace vktrain::app
