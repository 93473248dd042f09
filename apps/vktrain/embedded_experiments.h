// The built-in experiments: apps/experiments/*.toml, family files as
// nn/experiment/experiment_library.h reads them (generated source in the build folder).
#pragma once

#include "runtime/embedded_file.h"

namespace vktrain::app {

std::span<const EmbeddedFile> embedded_experiments();

}  // namespace vktrain::app
