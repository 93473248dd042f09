// `vktrain experiments`.
#pragma once

#include "apps/vktrain/console.h"

namespace CLI {
class App;
}

namespace vktrain::app {

void add_experiments_command(CLI::App& app, Console& console);

// The built-in experiments as a table.
void list_experiments(Console& console);

}  // namespace vktrain::app
