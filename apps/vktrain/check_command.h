// `vktrain check`: does this device with its driver train correctly, and what can it do?
#pragma once

#include "apps/vktrain/console.h"

namespace CLI {
class App;
}

namespace vktrain::app {

void add_check_command(CLI::App& app, Console& console);

}  // namespace vktrain::app
