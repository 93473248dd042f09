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

DeviceSession::DeviceSession(const ComputeOptions& options, std::ostream& err) : err_(err) {
  runtime::DeviceOptions device_options;
  device_options.selector = options.device;
  device_options.validate = options.validate;
  device_options.on_validation_message = [this](std::string_view message) {
    const std::lock_guard lock(mutex_);
    messages_.emplace_back(message);
  };
  device_options.on_notice = [this](std::string_view notice) {
    err_ << "note: " << notice << "\n";
  };
  device_ = runtime::Device::open(device_options);
}

DeviceSession::~DeviceSession() {
  try {
    close_and_print();
  } catch (...) {
    // A stream or a lock that fails must not hide the error that is under way.
  }
}

void DeviceSession::close() {
  const std::size_t count = close_and_print();
  if (count == 0) return;
  throw Error(
      fmt::format("the validation layer reported {} message{}.", count, count == 1 ? "" : "s"));
}

std::size_t DeviceSession::close_and_print() {
  device_.reset();
  const std::lock_guard lock(mutex_);
  for (const std::string& message : messages_) err_ << "validation: " << message << "\n";
  const std::size_t count = messages_.size();
  messages_.clear();
  return count;
}

}  // namespace vktrain::app
