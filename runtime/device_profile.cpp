#include "runtime/device_profile.h"

#include <utility>

namespace vktrain::runtime {
namespace {

constexpr std::pair<DeviceKind, std::string_view> kKinds[] = {
    {DeviceKind::discrete, "discrete"},   {DeviceKind::integrated, "integrated"},
    {DeviceKind::virtual_gpu, "virtual"}, {DeviceKind::cpu, "CPU"},
    {DeviceKind::other, "other"},
};

}  // namespace

std::string_view to_string(DeviceKind kind) {
  for (const auto& [known, name] : kKinds) {
    if (known == kind) return name;
  }
  return "other";
}

std::optional<DeviceKind> parse_device_kind(std::string_view text) {
  for (const auto& [kind, name] : kKinds) {
    if (name == text) return kind;
  }
  return std::nullopt;
}

}  // namespace vktrain::runtime
