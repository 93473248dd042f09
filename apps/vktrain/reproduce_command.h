// `vktrain reproduce`: trains built-in experiments and puts what they reach beside what the reports
// printed.
#pragma once

#include "apps/vktrain/console.h"

namespace CLI {
class App;
}

namespace vktrain::app {

void add_reproduce_command(CLI::App& app, Console& console);

}  // namespace vktrain::app
