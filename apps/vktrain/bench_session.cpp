#include "apps/vktrain/bench_session.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <limits>

#include "apps/vktrain/saved_run.h"
#include "apps/vktrain/version.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

constexpr double kGiga = 1e9;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint32_t kMostRepetitions = 10000;
constexpr double kMostSeconds = 3600;

BenchFormat check_options(const BenchOptions& options) {
  if (options.repetitions < 1 || options.repetitions > kMostRepetitions) {
    throw UsageError(fmt::format("--repetitions must be from 1 to {}, but it is {}.",
                                 kMostRepetitions, options.repetitions));
  }
  if (!(options.min_seconds >= 0) || options.min_seconds > kMostSeconds) {
    throw UsageError(fmt::format("--min-time must be from 0 to {} seconds, but it is {}.",
                                 kMostSeconds, options.min_seconds));
  }
  if (options.output) require_folder_of(*options.output, "--output");
  return parse_bench_format(options.format);
}

// Work a second, in thousands of millions; NaN where there is none.
double rate(double work, double seconds) {
  return work > 0 && seconds > 0 ? work / seconds / kGiga : kNone;
}

void append(BenchRow& row, BenchRow fields) {
  row.insert(row.end(), std::make_move_iterator(fields.begin()),
             std::make_move_iterator(fields.end()));
}

BenchRow time_fields(const nn::Measurement& time, bool cpu, std::optional<double> gpu_seconds) {
  const nn::Spread wall = nn::spread_of(time.wall);
  const nn::Spread busy = nn::spread_of(time.cpu);
  const nn::Spread& rated = cpu ? busy : wall;
  return {
      {"repetitions", "repetitions", std::int64_t(time.wall.size()), 0, Shown::files},
      {"runs", "runs", std::int64_t(time.runs), 0, Shown::files},
      {"median_ms", "ms", 1e3 * wall.median, 3},
      {"min_ms", "min ms", 1e3 * wall.least, 3, Shown::documents},
      {"max_ms", "max ms", 1e3 * wall.most, 3, Shown::documents},
      {"cpu_median_ms", "CPU ms", 1e3 * busy.median, 3},
      {"cpu_min_ms", "min CPU ms", 1e3 * busy.least, 3, Shown::files},
      {"cpu_max_ms", "max CPU ms", 1e3 * busy.most, 3, Shown::files},
      {"spread_percent", "± %", 50 * (rated.most - rated.least) / rated.median, 1},
      {"gpu_ms", "GPU ms", gpu_seconds ? BenchValue(1e3 * *gpu_seconds) : BenchValue(), 3,
       Shown::files},
  };
}

// The variant where there was a choice, else the first dispatch's shader.
std::string kernel_of(const nn::Plan& plan) {
  if (plan.questions().empty()) return plan.operations().front().dispatches.front().shader;
  const nn::VariantQuestion& question = plan.questions().front();
  const nn::VariantChoices none;
  const nn::VariantChoices* choices = plan.options().variants.get();
  return question.candidates[(choices ? *choices : none).choose(question)];
}

}  // namespace

void add_bench_options(CLI::App& command, BenchOptions& options) {
  add_compute_options(command, options.compute);
  command.add_option("--warmup", options.warmup, "Runs before the first repetition")
      ->capture_default_str()
      ->check(CLI::Range(0u, 1000000u))
      ->type_name("N");
  command
      .add_option("--repetitions", options.repetitions, "Repetitions, of which the median counts")
      ->capture_default_str()
      ->type_name("N");
  command
      .add_option("--min-time", options.min_seconds,
                  "Least seconds of a repetition; 0: each is one run")
      ->capture_default_str()
      ->type_name("S");
  command.add_option("--format", options.format, "How to print the rows")
      ->capture_default_str()
      ->type_name("table|md|csv|json");
  command.add_option("--output", options.output, "Write the rows to this file instead")
      ->type_name("FILE");
  command.add_flag("--no-peak", options.no_peak,
                   "Leave out the measurement of the device's peak, and the shares of it");
}

BenchSession::BenchSession(const BenchOptions& options, Console& console)
    : options_(options),
      console_(console),
      format_(check_options(options)),
      session_(options.compute, console.err),
      profile_(session_.device().profile()) {
  if (options_.no_peak) return;
  nn::MeasureOptions brief = measure_options();
  brief.warmup = 1;
  brief.repetitions = std::min(options_.repetitions, 3u);
  brief.min_seconds = std::min(options_.min_seconds, 0.05);
  peak_ = nn::measure_device_peak(device(), brief);
}

nn::MeasureOptions BenchSession::measure_options() const {
  nn::MeasureOptions options;
  options.warmup = options_.warmup;
  options.repetitions = options_.repetitions;
  options.min_seconds = options_.min_seconds;
  options.pause = [this] { check_interrupt(); };
  return options;
}

void BenchSession::check_interrupt() const {
  if (!guard_.interrupted()) return;
  throw Interrupted(
      fmt::format("interrupted after {} row{}{}.", rows_.size(), rows_.size() == 1 ? "" : "s",
                  options_.output ? fmt::format("; '{}' was not written", *options_.output) : ""));
}

void add_precision_option(CLI::App& command, std::string& precision) {
  command.add_option("--precision", precision, "Of the operands; sums are f32")
      ->capture_default_str()
      ->type_name("f32|mixed");
}

nn::Precision parse_precision(const std::string& text) {
  for (const nn::Precision precision : {nn::Precision::f32, nn::Precision::mixed}) {
    if (to_string(precision) == text) return precision;
  }
  throw UsageError(fmt::format("--precision takes f32 or mixed, but it is '{}'.", text));
}

TimedOperation BenchSession::time(const nn::SingleOperation& single, std::uint32_t optimizer_slots,
                                  const std::function<void(nn::Executable&)>& prepare) {
  check_interrupt();
  nn::ParameterStorage storage(device(), single.parameters, 1, optimizer_slots);
  storage.initialize(0, 1, std::vector<float>(optimizer_slots));
  if (tuner()) tuner()->begin();  // a budget for each operation
  const auto make = [&](bool profile) {
    auto executable = std::make_unique<nn::Executable>(
        device(), single.graph, storage,
        nn::tuned_options(tuner().get(), single.graph, storage.layout(), {}),
        std::map<nn::ValueId, runtime::Slice>{}, profile);
    nn::fill_operands(single, *executable, 1);
    if (prepare) prepare(*executable);
    return executable;
  };
  TimedOperation timed;
  {
    const auto executable = make(false);
    timed.kernel = kernel_of(executable->plan());
    for (const nn::PlannedOperation& operation : executable->plan().operations()) {
      for (const nn::PlannedDispatch& dispatch : operation.dispatches) {
        timed.planned_flops += dispatch.flops;
        timed.planned_bytes += dispatch.bytes;
      }
    }
    timed.time = nn::measure(*executable, measure_options());
  }
  if (profile_.timestamps && !nn::rates_by_cpu_time(profile_)) {
    const auto executable = make(true);
    executable->run(options_.repetitions);
    timed.gpu_seconds = nn::timestamp_seconds(executable->commands());
  }
  return timed;
}

double BenchSession::share(const nn::Measurement& time, const Work& work) const {
  const double peak = work.memory_bound ? peak_.bytes : peak_.flops;
  const double amount = work.memory_bound ? work.bytes : work.flops;
  if (!(peak > 0) || !(amount > 0)) return kNone;
  return 100 * amount / nn::spread_of(nn::rated_seconds(time, profile_)).median / peak;
}

void BenchSession::add(std::string benchmark, BenchRow parameters, const nn::Measurement& time,
                       const Work& work, std::optional<double> gpu_seconds, BenchRow results) {
  const bool cpu = nn::rates_by_cpu_time(profile_);
  const double wall = nn::spread_of(time.wall).median;
  const double busy = cpu ? nn::spread_of(time.cpu).median : kNone;
  const Shown flops = work.memory_bound ? Shown::files : Shown::everywhere;
  const Shown bytes = work.memory_bound ? Shown::everywhere : Shown::files;
  const Shown flops_cpu = cpu ? flops : Shown::files;
  const Shown bytes_cpu = cpu ? bytes : Shown::files;
  BenchRow row = {{"benchmark", "benchmark", std::move(benchmark)}};
  append(row, std::move(parameters));
  append(row, time_fields(time, cpu, gpu_seconds));
  append(row, std::move(results));
  append(row,
         {{"gflops", "GFLOP/s", rate(work.flops, wall), 2, flops},
          {"gflops_cpu", "per CPU s", rate(work.flops, busy), 2, flops_cpu},
          {"gbytes", "GB/s", rate(work.bytes, wall), 2, bytes},
          {"gbytes_cpu", "per CPU s", rate(work.bytes, busy), 2, bytes_cpu},
          {"peak_percent", "% of peak", share(time, work), 1},
          {"peak_gflops", "peak GFLOP/s", rate(peak_.flops, 1), 2, Shown::files},
          {"peak_gbytes", "peak GB/s", rate(peak_.bytes, 1), 2, Shown::files},
          {"device", "device", profile_.name, 0, Shown::documents},
          {"driver", "driver", fmt::format("{} {}", profile_.driver_name, profile_.driver_info), 0,
           Shown::documents},
          {"version", "version", program_info().version, 0, Shown::files},
          {"commit", "commit", program_info().commit, 0, Shown::documents}});
  rows_.push_back(std::move(row));
}

std::string BenchSession::heading() const {
  std::string text = fmt::format("{}, {} {}, {}\n", profile_.name, profile_.driver_name,
                                 profile_.driver_info, version_text());
  if (peak_.flops > 0) {
    text += fmt::format("peak {:.1f} GFLOP/s, {:.1f} GB/s{}\n", peak_.flops / kGiga,
                        peak_.bytes / kGiga,
                        nn::rates_by_cpu_time(profile_) ? " per second of processor time" : "");
  }
  return text + "\n";
}

void BenchSession::print_rows() {
  if (rows_.empty()) return;
  if (format_ == BenchFormat::table) console_.out << heading();
  console_.out << format_rows(rows_, format_);
}

void BenchSession::finish() {
  session_.close();
  if (!options_.output) return print_rows();
  write_file_atomically(
      path_of(*options_.output),
      (format_ == BenchFormat::table ? heading() : std::string()) + format_rows(rows_, format_));
}

void run_bench(const BenchOptions& options, Console& console,
               const std::function<void(BenchSession&)>& body) {
  BenchSession session(options, console);
  try {
    body(session);
  } catch (const Interrupted&) {
    session.print_rows();
    throw;
  }
  session.finish();
}

}  // namespace vktrain::app
