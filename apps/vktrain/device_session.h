// A device that was opened for one command, with the messages of its validation layer.
#pragma once

#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <vector>

#include "nn/tuning/tuner.h"
#include "runtime/device.h"

namespace CLI {
class App;
}

namespace vktrain::app {

struct ComputeOptions {
  std::string device = "auto";
  bool validate = false;
  std::string limits = {};  // as runtime::read_limits takes it; empty: the device's own
  std::string tune = "quick";
  double tune_budget = 2.0;  // seconds
  bool pipeline_cache = true;
};

// --limits, for commands that list or open devices.
void add_limits_option(CLI::App& command, std::string& limits);
// --device, --limits and --validate, for commands that choose no kernels.
void add_device_options(CLI::App& command, ComputeOptions& options);
void add_compute_options(CLI::App& command, ComputeOptions& options);

class DeviceSession {
 public:
  // `err` gets the layer's messages and the device's notices and must outlive the session.
  DeviceSession(const ComputeOptions& options, std::ostream& err);
  // Prints the messages if `close` did not: a command that failed under the layer needs them most.
  ~DeviceSession();
  DeviceSession(const DeviceSession&) = delete;
  DeviceSession& operator=(const DeviceSession&) = delete;

  runtime::Device& device() { return *device_; }
  // Chooses kernels as --tune says; its warnings go to `err`.
  const std::shared_ptr<nn::Tuner>& tuner() { return tuner_; }

  // Closes the device, after everything made from it is gone. Throws Error when the validation
  // layer said anything from the opening to the end of the closing.
  void close();

 private:
  // Closes the device and prints what the layer said; the number of messages.
  std::size_t close_and_print();

  std::ostream& err_;
  std::mutex mutex_;  // the layer may call from any thread
  std::vector<std::string> messages_;
  std::unique_ptr<runtime::Device> device_;
  std::shared_ptr<nn::Tuner> tuner_;
};

}  // namespace vktrain::app
