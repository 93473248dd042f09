// Files compiled into the tests: catalogue_fcn, the fully connected runs as the catalogue of
// reports has them, one object a line; experiments, which is docs/experiments.md.
#pragma once

#include "runtime/embedded_file.h"

namespace vktrain {

std::span<const EmbeddedFile> experiment_test_files();

}  // namespace vktrain
