#include "nn/tuning/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

#include "nn/training/submission_pacer.h"
#include "runtime/platform.h"

namespace vktrain::nn {
namespace {

constexpr double kSubmissionSeconds = 0.25;
constexpr double kMostRuns = 1e9;

class Stopwatch {
 public:
  double wall() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  double cpu() const { return process_cpu_seconds() - cpu_start_; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double cpu_start_ = process_cpu_seconds();
};

class Runner {
 public:
  Runner(const std::function<void(std::uint32_t)>& run, const MeasureOptions& options)
      : run_(run), options_(options) {}

  void run(std::uint64_t count) {
    while (count > 0) {
      const auto most = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, 1u << 20));
      const std::uint32_t now = steps_per_submission(kSubmissionSeconds, seconds_per_run_, most);
      if (options_.pause) options_.pause();
      run_(now);
      count -= now;
    }
  }

  // Runs of one repetition. A short run's time is known only from many at once.
  std::uint64_t calibrate() {
    if (options_.min_seconds <= 0) return 1;
    for (std::uint64_t count = 1;; count *= 4) {
      const Stopwatch watch;
      run(count);
      const double seconds = watch.wall();
      seconds_per_run_ = std::max(seconds / static_cast<double>(count), 1e-9);
      if (seconds < options_.min_seconds / 8) continue;
      const double runs = std::ceil(options_.min_seconds / seconds_per_run_);
      return static_cast<std::uint64_t>(std::clamp(runs, 1.0, kMostRuns));
    }
  }

 private:
  const std::function<void(std::uint32_t)>& run_;
  const MeasureOptions& options_;
  double seconds_per_run_ = 0;  // 0: not known yet
};

}  // namespace

Spread spread_of(std::vector<double> values) {
  if (values.empty()) throw std::invalid_argument("the spread of no values");
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

Measurement measure(const std::function<void(std::uint32_t)>& run, const MeasureOptions& options) {
  if (options.repetitions < 1) throw std::invalid_argument("a measurement without repetitions");
  Runner runner(run, options);
  runner.run(options.warmup);
  Measurement result;
  result.runs = runner.calibrate();
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    const Stopwatch watch;
    runner.run(result.runs);
    result.wall.push_back(watch.wall() / static_cast<double>(result.runs));
    result.cpu.push_back(watch.cpu() / static_cast<double>(result.runs));
  }
  return result;
}

Measurement measure(Executable& executable, const MeasureOptions& options) {
  return measure([&executable](std::uint32_t runs) { executable.run(runs); }, options);
}

Measurement measure(runtime::CommandGraph& commands, const MeasureOptions& options) {
  return measure([&commands](std::uint32_t runs) { commands.run(runs); }, options);
}

double timestamp_seconds(const runtime::CommandGraph& commands) {
  double seconds = 0;
  for (const runtime::DispatchTiming& timing : commands.timings()) {
    if (timing.calls > 0) seconds += timing.seconds / static_cast<double>(timing.calls);
  }
  return seconds;
}

}  // namespace vktrain::nn
