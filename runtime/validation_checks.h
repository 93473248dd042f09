// What the Khronos validation layer looks at beside the rules that it always checks.
#pragma once

#include <optional>
#include <string_view>

namespace vktrain::runtime {

enum class ValidationChecks {
  core,             // nothing more
  synchronization,  // hazards between commands
  gpu_assisted,     // instruments shaders: accesses beyond a buffer
  best_practices,   // what is allowed but unwise
};

// "core", "sync", "gpu" or "best-practices"; empty for another text.
std::optional<ValidationChecks> parse_validation_checks(std::string_view text);

}  // namespace vktrain::runtime
