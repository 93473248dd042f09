// How long something runs on a device: warm-up, repetitions, time by the clock and, because a CPU
// driver shares the machine with others, by the processor time of this process.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "nn/executable.h"

namespace vktrain::nn {

struct MeasureOptions {
  std::uint32_t warmup = 1;       // runs before the first repetition
  std::uint32_t repetitions = 5;  // at least 1
  double min_seconds = 0.1;       // of one repetition, by the clock; 0: one run each
  // Called between submissions; what it throws ends the measurement.
  std::function<void()> pause = nullptr;
};

struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};
// Of at least one value; the median of an even number is the mean of the middle two.
Spread spread_of(std::vector<double> values);

// Seconds for one run, an entry for each repetition.
struct Measurement {
  std::uint64_t runs = 0;  // of one repetition
  std::vector<double> wall;
  std::vector<double> cpu;  // of all threads of this process
};

// `run(n)` must run n times and wait for the end; n stays below what takes about a quarter of a
// second, so that no watchdog ends it.
Measurement measure(const std::function<void(std::uint32_t)>& run, const MeasureOptions& options);
Measurement measure(Executable& executable, const MeasureOptions& options);
Measurement measure(runtime::CommandGraph& commands, const MeasureOptions& options);

// Seconds that one replay takes by GPU timestamps, without what lies between its dispatches; of a
// command graph that was recorded with profiling and has run.
double timestamp_seconds(const runtime::CommandGraph& commands);

}  // namespace vktrain::nn
