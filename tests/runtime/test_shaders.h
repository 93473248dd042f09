// The compiled shaders of tests/runtime/shaders (generated source in the build folder).
#pragma once

#include <span>

#include "runtime/embedded_file.h"

namespace vktrain::testing {

std::span<const EmbeddedFile> test_shaders();

}  // namespace vktrain::testing
