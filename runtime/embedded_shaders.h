// The compiled shaders (generated source in the build folder).
#pragma once

#include "runtime/embedded_file.h"

namespace vktrain::runtime {

std::span<const EmbeddedFile> embedded_shaders();

}  // namespace vktrain::runtime
