#include "apps/vktrain/devices_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/vktrain/device_session.h"
#include "apps/vktrain/text.h"
#include "nn/training/run_json.h"
#include "runtime/device.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

void show_table(const std::vector<runtime::DeviceProfile>& devices,
                std::optional<std::uint32_t> chosen, Console& console) {
  TextTable table({{""},
                   {"index", Align::right},
                   {"name"},
                   {"type"},
                   {"driver"},
                   {"API"},
                   {"memory", Align::right},
                   {"usable"}});
  for (const runtime::DeviceProfile& device : devices) {
    table.add_row(
        {device.index == chosen ? "*" : "", std::to_string(device.index), device.name,
         std::string(to_string(device.kind)),
         fmt::format("{} {}", device.driver_name, device.driver_info), device.api_version,
         byte_size(static_cast<double>(device.memory)),
         device.usable() ? "yes" : fmt::format("no: {}", fmt::join(device.refused, "; "))});
  }
  console.out << table.text();
  if (chosen) console.out << "* is what --device auto takes.\n";
}

// By the devices' own kinds, as opening one does.
std::optional<std::uint32_t> auto_device(const std::vector<runtime::DeviceProfile>& devices) {
  const bool any = std::ranges::any_of(devices, &runtime::DeviceProfile::usable);
  if (!any) return std::nullopt;
  return runtime::choose_device(devices, "auto").index;
}

void show_limits(const runtime::DeviceProfile& d, Console& console) {
  const auto& size = d.max_workgroup_size;
  console.out << fmt::format(
      "{}: within the limits of \"{}\", type {}: {} of shared memory, {} invocations a "
      "workgroup ({}x{}x{}), ranges of {}, alignment {}, subgroups {}\n",
      d.index, d.limits, to_string(d.kind), byte_size(static_cast<double>(d.max_shared_memory)),
      d.max_workgroup_invocations, size[0], size[1], size[2],
      byte_size(static_cast<double>(d.max_storage_range)), d.storage_alignment,
      d.subgroup_size == 0
          ? "not known"
          : fmt::format("of {}{}", d.subgroup_size, d.subgroup_shuffle ? " with shuffles" : ""));
}

void show_devices(bool json, const std::string& limits, Console& console) {
  // Before the devices: a wrong option is told on machines without a driver, too.
  const runtime::ProfileLimits held =
      limits.empty() ? runtime::no_limits() : runtime::read_limits(limits);
  std::vector<runtime::DeviceProfile> devices = runtime::list_devices();
  const std::optional<std::uint32_t> chosen = auto_device(devices);
  for (runtime::DeviceProfile& device : devices) device = runtime::clamp(device, held);
  if (json) {
    console.out << nn::devices_json(devices);
  } else if (!devices.empty()) {
    show_table(devices, chosen, console);
    for (const runtime::DeviceProfile& device : devices) {
      if (!device.limits.empty()) show_limits(device, console);
    }
  }
  if (devices.empty()) {
    throw DeviceError(
        "no Vulkan device was found; install your GPU's Vulkan driver, or Mesa's drivers with "
        "their CPU device (Debian and Ubuntu: mesa-vulkan-drivers).");
  }
}

}  // namespace

void add_devices_command(CLI::App& app, Console& console) {
  struct Arguments {
    bool json = false;
    std::string limits;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("devices", "List the Vulkan devices");
  command->add_flag("--json", arguments->json, "Print everything that is known of them as JSON");
  add_limits_option(*command, arguments->limits);
  command->callback(
      [arguments, &console] { show_devices(arguments->json, arguments->limits, console); });
}

}  // namespace vktrain::app
