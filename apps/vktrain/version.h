// What was built.
#pragma once

#include <string>

#include "nn/training/run_folder.h"

namespace vktrain::app {

nn::ProgramInfo program_info();

// "vktrain 0.1.0 (1a2b3c4)"
std::string version_text();

}  // namespace vktrain::app
