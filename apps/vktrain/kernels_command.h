// `vktrain kernels`: what a driver's compiler makes of the kernels that experiments would use.
#pragma once

#include "apps/vktrain/console.h"

namespace CLI {
class App;
}

namespace vktrain::app {

void add_kernels_command(CLI::App& app, Console& console);

}  // namespace vktrain::app
