// What every benchmark shares: options, the device and its peak, timing, the rows and where they
// go.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/vktrain/bench_output.h"
#include "apps/vktrain/console.h"
#include "apps/vktrain/device_session.h"
#include "apps/vktrain/interrupt.h"
#include "nn/precision.h"
#include "nn/tuning/measure.h"
#include "nn/tuning/peak.h"
#include "nn/tuning/single_operation.h"

namespace vktrain::app {

struct BenchOptions {
  ComputeOptions compute;
  std::uint32_t warmup = 1;
  std::uint32_t repetitions = 5;
  double min_seconds = 0.2;
  std::string format = "table";
  std::optional<std::string> output;
  bool no_peak = false;
};

void add_bench_options(CLI::App& command, BenchOptions& options);
// Of benchmarks that multiply.
void add_precision_option(CLI::App& command, std::string& precision);
nn::Precision parse_precision(const std::string& text);  // throws UsageError

// What a time is to be compared with.
struct Work {
  double flops = 0;  // of one run; 0: does not count
  double bytes = 0;
  bool memory_bound = false;  // the share is of the memory's peak instead of the multiply-adds'
};

// Of one operation on the device.
struct TimedOperation {
  nn::Measurement time;
  std::optional<double> gpu_seconds;  // by timestamps; absent on CPU drivers
  std::string kernel;                 // the variant, or the first dispatch's shader
  double planned_flops = 0;           // of all dispatches, as the operation counts them
  double planned_bytes = 0;
};

class BenchSession {
 public:
  // Checks the options, opens the device and measures its peak. Throws UsageError, DeviceError.
  BenchSession(const BenchOptions& options, Console& console);

  runtime::Device& device() { return session_.device(); }
  const std::shared_ptr<nn::Tuner>& tuner() { return session_.tuner(); }
  // With a pause that throws Interrupted after Ctrl-C.
  nn::MeasureOptions measure_options() const;
  void check_interrupt() const;

  // Plans, fills the operands with random numbers and measures. `prepare` sets other values.
  TimedOperation time(const nn::SingleOperation& single, std::uint32_t optimizer_slots = 0,
                      const std::function<void(nn::Executable&)>& prepare = nullptr);

  // A row: what was measured, then the fields that every row has.
  void add(std::string benchmark, BenchRow parameters, const nn::Measurement& time,
           const Work& work, std::optional<double> gpu_seconds = std::nullopt,
           BenchRow results = {});

  // Prints or writes the rows and closes the device.
  void finish();
  // After Ctrl-C: prints the rows that there are; --output stays as it was.
  void print_rows();

 private:
  std::string heading() const;
  double share(const nn::Measurement& time, const Work& work) const;  // percent; NaN: no peak

  const BenchOptions& options_;
  Console& console_;
  BenchFormat format_;
  InterruptGuard guard_;
  DeviceSession session_;
  runtime::DeviceProfile profile_;
  nn::DevicePeak peak_;  // 0: not measured
  std::vector<BenchRow> rows_;
};

// Runs `body` in a session, and ends it in good order after Ctrl-C.
void run_bench(const BenchOptions& options, Console& console,
               const std::function<void(BenchSession&)>& body);

}  // namespace vktrain::app
