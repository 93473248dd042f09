// See platform.h: what is the same on every system.
#include "runtime/platform.h"

namespace vktrain {

std::optional<std::filesystem::path> absolute_variable(const char* name) {
  const std::optional<std::string> value = environment_variable(name);
  if (!value) return std::nullopt;
  std::filesystem::path path = path_of(*value);
  return path.is_absolute() ? std::optional(std::move(path)) : std::nullopt;
}

}  // namespace vktrain
