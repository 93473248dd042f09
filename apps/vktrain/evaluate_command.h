// `vktrain evaluate RUN`.
#pragma once

#include "apps/vktrain/console.h"

namespace CLI {
class App;
}

namespace vktrain::app {

void add_evaluate_command(CLI::App& app, Console& console);

}  // namespace vktrain::app
