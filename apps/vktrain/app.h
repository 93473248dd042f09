// The program `vktrain` without its process: what main() and the tests call.
#pragma once

#include <span>
#include <string>

#include "apps/vktrain/console.h"

namespace vktrain::app {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells count

// Runs one command; `arguments` without the program's name. Never throws: an error is one line on
// console.err that begins with "vktrain: error: ", and the exit code that is returned.
int run(std::span<const std::string> arguments, Console& console);

}  // namespace vktrain::app
