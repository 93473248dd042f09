// Cuts many steps into submissions that each take a bounded time, so that no watchdog (2 s on
// Windows) ends them and progress can be shown. The time of a step is measured as it runs, for each
// executable by itself: a step of a last, smaller batch tells nothing of a full one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>

#include "nn/executable.h"
#include "runtime/device.h"

namespace vktrain::nn {

class SubmissionPacer {
 public:
  // CPU drivers have no watchdog; their submissions are bounded for the sake of progress only.
  explicit SubmissionPacer(const runtime::DeviceProfile& profile)
      : budget_(profile.kind == runtime::DeviceKind::cpu ? 1.0 : 0.25) {}

  // Runs up to `steps` replays in one submission and returns how many ran; at least one.
  std::uint32_t run_some(Executable& executable, std::uint32_t steps) {
    double& seconds_per_step = seconds_per_step_[&executable];  // 0 before the first
    const double fitting = seconds_per_step > 0 ? budget_ / seconds_per_step : 1.0;
    const auto count = static_cast<std::uint32_t>(
        std::clamp(fitting, 1.0, static_cast<double>(std::min(steps, kMostRepeats))));
    const auto start = std::chrono::steady_clock::now();
    executable.run(count);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    seconds_per_step = elapsed.count() / count;
    return count;
  }
  void run_all(Executable& executable, std::uint32_t steps) {
    while (steps > 0) steps -= run_some(executable, steps);
  }

 private:
  static constexpr std::uint32_t kMostRepeats = 4096;

  double budget_;  // seconds
  std::map<const Executable*, double> seconds_per_step_;
};

}  // namespace vktrain::nn
