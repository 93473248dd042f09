#include "apps/vktrain/device_session.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "runtime/error.h"
#include "runtime/user_cache.h"

namespace vktrain::app {

void add_limits_option(CLI::App& command, std::string& limits) {
  command
      .add_option("--limits", limits,
                  "Hold the device to Vulkan's guaranteed limits, or to another device's: a file "
                  "with its profile, as devices --json or vulkaninfo --json prints it")
      ->envname("VKTRAIN_LIMITS")
      ->type_name("minimum|FILE.json");
}

void add_device_options(CLI::App& command, ComputeOptions& options) {
  command.add_option("--device", options.device, "auto, an index, or a part of the device's name")
      ->capture_default_str()
      ->type_name("DEVICE");
  add_limits_option(command, options.limits);
  command.add_flag("--validate", options.validate,
                   "Run under the Khronos validation layer; fail on any message of it");
}

void add_compute_options(CLI::App& command, ComputeOptions& options) {
  add_device_options(command, options);
  command
      .add_option("--tune", options.tune,
                  "Measure which kernels are fastest here, and remember them: not, within the "
                  "budget, or also what the budget was too short for")
      ->check(CLI::IsMember({"off", "quick", "full"}))
      ->envname("VKTRAIN_TUNE")
      ->capture_default_str()
      ->type_name("off|quick|full");
  command.add_option("--tune-budget", options.tune_budget, "Time for --tune quick")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->type_name("SECONDS");
}

namespace {

nn::TuningOptions tuning_options(const ComputeOptions& options) {
  nn::TuningOptions tuning;
  tuning.mode = nn::parse_tuning_mode(options.tune).value();
  tuning.budget_seconds = options.tune_budget;
  tuning.cache_folder = runtime::user_cache_folder();
  return tuning;
}

}  // namespace

DeviceSession::DeviceSession(const ComputeOptions& options, std::ostream& err) : err_(err) {
  runtime::DeviceOptions device_options;
  device_options.selector = options.device;
  if (!options.limits.empty()) device_options.limits = runtime::read_limits(options.limits);
  device_options.validate = options.validate;
  device_options.pipeline_cache = options.pipeline_cache;
  device_options.on_validation_message = [this](std::string_view message) {
    const std::lock_guard lock(mutex_);
    messages_.emplace_back(message);
  };
  device_options.on_notice = [this](std::string_view notice) {
    err_ << "note: " << notice << "\n";
  };
  device_ = runtime::Device::open(device_options);
  tuner_ = std::make_shared<nn::Tuner>(
      *device_, tuning_options(options),
      [this](const std::string& line) { err_ << "vktrain: tuning: " << line << "\n"; });
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
  tuner_.reset();
  device_.reset();
  const std::lock_guard lock(mutex_);
  for (const std::string& message : messages_) err_ << "validation: " << message << "\n";
  const std::size_t count = messages_.size();
  messages_.clear();
  return count;
}

}  // namespace vktrain::app
