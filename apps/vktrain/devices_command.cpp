#include "apps/vktrain/devices_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "apps/vktrain/text.h"
#include "nn/training/run_json.h"
#include "runtime/device.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

void show_table(const std::vector<runtime::DeviceProfile>& devices, Console& console) {
  TextTable table({{""},
                   {"index", Align::right},
                   {"name"},
                   {"type"},
                   {"driver"},
                   {"API"},
                   {"memory", Align::right},
                   {"usable"}});
  const bool any = std::any_of(devices.begin(), devices.end(),
                               [](const auto& device) { return device.usable(); });
  const runtime::DeviceProfile* chosen = any ? &runtime::choose_device(devices, "auto") : nullptr;
  for (const runtime::DeviceProfile& device : devices) {
    table.add_row(
        {&device == chosen ? "*" : "", std::to_string(device.index), device.name,
         std::string(to_string(device.kind)),
         fmt::format("{} {}", device.driver_name, device.driver_info), device.api_version,
         byte_size(static_cast<double>(device.memory)),
         device.usable() ? "yes" : fmt::format("no: {}", fmt::join(device.refused, "; "))});
  }
  console.out << table.text();
  if (any) console.out << "* is what --device auto takes.\n";
}

void show_devices(bool json, Console& console) {
  const std::vector<runtime::DeviceProfile> devices = runtime::list_devices();
  if (json) {
    console.out << nn::devices_json(devices);
  } else if (!devices.empty()) {
    show_table(devices, console);
  }
  if (devices.empty()) {
    throw DeviceError(
        "no Vulkan device was found; install your GPU's Vulkan driver, or Mesa's drivers with "
        "their CPU device (Debian and Ubuntu: mesa-vulkan-drivers).");
  }
}

}  // namespace

void add_devices_command(CLI::App& app, Console& console) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("devices", "List the Vulkan devices");
  command->add_flag("--json", *json, "Print everything that is known of them as JSON");
  command->callback([json, &console] { show_devices(*json, console); });
}

}  // namespace vktrain::app
