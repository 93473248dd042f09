// `vktrain bench`: how fast this device does what training does, and how near to its limits.
#pragma once

#include "apps/vktrain/console.h"

namespace CLI {
class App;
}

namespace vktrain::app {

void add_bench_command(CLI::App& app, Console& console);

}  // namespace vktrain::app
