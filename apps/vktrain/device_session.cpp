#include "apps/vktrain/device_session.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "runtime/error.h"

namespace vktrain::app {

void add_compute_options(CLI::App& command, ComputeOptions& options) {
  command.add_option("--device", options.device, "auto, an index, or a part of the device's name")
      ->capture_default_str()
      ->type_name("DEVICE");
  command.add_flag("--validate", options.validate,
                   "Run under the Khronos validation layer; fail on any message of it");
}

DeviceSession::DeviceSession(const ComputeOptions& options) {
  runtime::DeviceOptions device_options;
  device_options.selector = options.device;
  device_options.validate = options.validate;
  device_options.on_validation_message = [this](std::string_view message) {
    const std::lock_guard lock(mutex_);
    messages_.emplace_back(message);
  };
  device_ = runtime::Device::open(device_options);
}

DeviceSession::~DeviceSession() = default;

void DeviceSession::close(std::ostream& err) {
  device_.reset();
  const std::lock_guard lock(mutex_);
  if (messages_.empty()) return;
  for (const std::string& message : messages_) err << "validation: " << message << "\n";
  throw Error(fmt::format("the validation layer reported {} message{}.", messages_.size(),
                          messages_.size() == 1 ? "" : "s"));
}

}  // namespace vktrain::app
