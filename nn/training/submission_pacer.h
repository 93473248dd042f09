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

// How many of `steps` go into one submission of at most `budget` seconds when a step takes
// `seconds_per_step` (0: not known yet): at least 1, at most 4096.
inline std::uint32_t steps_per_submission(double budget, double seconds_per_step,
                                          std::uint32_t steps) {
  constexpr std::uint32_t kMost = 4096;
  const double fitting = seconds_per_step > 0 ? budget / seconds_per_step : 1.0;
  return static_cast<std::uint32_t>(
      std::clamp(fitting, 1.0, static_cast<double>(std::clamp(steps, 1u, kMost))));
}

class SubmissionPacer {
 public:
  // CPU drivers have no watchdog; their submissions are bounded for the sake of progress only.
  explicit SubmissionPacer(const runtime::DeviceProfile& profile)
      : budget_(profile.kind == runtime::DeviceKind::cpu ? 1.0 : 0.25) {}

  // Runs up to `steps` replays in one submission and returns how many ran; at least one.
  std::uint32_t run_some(Executable& executable, std::uint32_t steps) {
    double& seconds_per_step = seconds_per_step_[&executable];  // 0 before the first
    const std::uint32_t count = steps_per_submission(budget_, seconds_per_step, steps);
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
  double budget_;  // seconds
  std::map<const Executable*, double> seconds_per_step_;
};

}  // namespace vktrain::nn
