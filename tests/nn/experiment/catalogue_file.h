// catalogue_fcn.json, compiled into the tests: the fully connected runs as the catalogue of reports
// has them, one object a line.
#pragma once

#include "runtime/embedded_file.h"

namespace vktrain {

std::span<const EmbeddedFile> catalogue_file();

}  // namespace vktrain
