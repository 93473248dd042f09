#include "apps/vktrain/check_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "apps/vktrain/check_table.h"
#include "apps/vktrain/device_session.h"
#include "apps/vktrain/interrupt.h"
#include "apps/vktrain/saved_run.h"
#include "apps/vktrain/version.h"
#include "nn/check/conformance.h"
#include "nn/check/report_json.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

struct CheckCommandOptions {
  ComputeOptions compute;
  std::string format = "table";
  std::optional<std::string> output;
  std::vector<std::string> compare;  // two files, or none
  std::string filter;
  bool list = false;
  bool all_kernels = false;
  std::uint64_t seed = 1;
  std::optional<std::uint32_t> jobs;
};

constexpr std::uint32_t kMostJobs = 16;

// CPU drivers compile on one thread for each time that a device was opened; a GPU is one device.
std::uint32_t default_jobs(runtime::DeviceKind kind) {
  constexpr std::uint32_t kEnough = 4;
  if (kind != runtime::DeviceKind::cpu) return 1;
  return std::clamp(std::thread::hardware_concurrency(), 1u, kEnough);
}

// A line on the terminal that is rewritten in place, at most ten times a second.
class LiveLine {
 public:
  explicit LiveLine(Console& console) : console_(console) {}
  ~LiveLine() { clear(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  void show(std::string_view text) {
    constexpr std::chrono::milliseconds kInterval(100);
    const auto now = std::chrono::steady_clock::now();
    if (console_.err_columns == 0 || now < last_ + kInterval) return;
    clear();
    console_.err << text.substr(0, static_cast<std::size_t>(console_.err_columns - 1));
    console_.err.flush();
    last_ = now;
    standing_ = true;
  }

 private:
  void clear() {
    if (standing_) console_.err << "\r\x1b[K";
    standing_ = false;
  }

  Console& console_;
  std::chrono::steady_clock::time_point last_{};
  bool standing_ = false;
};

using Sessions = std::vector<std::unique_ptr<DeviceSession>>;

// What messages of the validation layer came while the device was open, as a row.
nn::CheckRow validation_row(const Sessions& sessions) {
  nn::CheckRow row = nn::row_of("device", "validation layer");
  nn::run_row(row, [&] {
    std::exception_ptr first;
    for (const auto& session : sessions) {
      try {
        session->close();
      } catch (...) {
        if (!first) first = std::current_exception();
      }
    }
    if (first) std::rethrow_exception(first);
  });
  return row;
}

nn::DeviceReport check_one(const CheckCommandOptions& options, const std::string& selector,
                           const InterruptGuard& guard, Console& console) {
  ComputeOptions compute = options.compute;
  compute.device = selector;
  compute.tune = "off";  // every kernel is run, whatever the fastest is
  Sessions sessions;
  const auto open = [&]() -> runtime::Device& {
    compute.pipeline_cache = sessions.empty();  // one file for all: the first device writes it
    return sessions.emplace_back(std::make_unique<DeviceSession>(compute, console.err))->device();
  };
  runtime::Device& device = open();
  nn::CheckOptions check = {
      .filter = options.filter, .seed = options.seed, .all_kernels = options.all_kernels};
  nn::DeviceReport report;
  if (options.list) {
    report.profile = device.profile();
    report.rows = nn::list_conformance(device, check);
    return report;
  }
  const std::uint32_t jobs = options.jobs.value_or(default_jobs(device.profile().kind));
  while (sessions.size() < jobs) check.helpers.push_back(&open());
  LiveLine line(console);
  check.on_progress = [&](std::string_view what) {
    if (guard.interrupted()) throw Interrupted("interrupted; nothing was written.");
    line.show(what);
  };
  report = nn::check_conformance(device, check);
  if (compute.validate) report.rows.push_back(validation_row(sessions));
  return report;
}

std::vector<nn::DeviceReport> check_all(const CheckCommandOptions& options,
                                        const InterruptGuard& guard, Console& console) {
  const std::vector<runtime::DeviceProfile> devices = runtime::list_devices();
  if (std::ranges::none_of(devices, [](const auto& device) { return device.usable(); })) {
    runtime::choose_device(devices, "auto");  // throws, with all the reasons
  }
  return nn::check_each(devices, [&](const runtime::DeviceProfile& profile) {
    return check_one(options, std::to_string(profile.index), guard, console);
  });
}

std::string text_of(const CheckCommandOptions& options,
                    const std::vector<nn::DeviceReport>& reports) {
  if (options.format == "json") return nn::check_json(program_info(), options.seed, reports);
  std::string text;
  for (const nn::DeviceReport& report : reports) {
    if (!text.empty()) text += "\n";
    text += options.list ? check_list(report.rows) : check_table(report);
  }
  return text;
}

// Throws Error when a row failed, after the report is where it belongs.
void require_no_failure(const std::vector<nn::DeviceReport>& reports) {
  std::size_t failed = 0, rows = 0;
  const nn::CheckRow* first = nullptr;
  for (const nn::DeviceReport& report : reports) {
    rows += report.rows.size();
    failed += report.count(nn::CheckResult::fail);
    const auto found = std::ranges::find(report.rows, nn::CheckResult::fail, &nn::CheckRow::result);
    if (!first && found != report.rows.end()) first = &*found;
  }
  if (!first) return;
  throw Error(fmt::format("{} of {} rows failed, the first: {}: {}", failed, rows, first->name(),
                          first->why));
}

void compare(const CheckCommandOptions& options, Console& console) {
  const nn::SavedCheck first = nn::read_check_json(path_of(options.compare.at(0)));
  const nn::SavedCheck second = nn::read_check_json(path_of(options.compare.at(1)));
  const nn::ReportComparison comparison = nn::compare_reports(first, second);
  console.out << comparison_table(comparison);
  const auto found = std::ranges::find(comparison.differences, true, &nn::ReportDifference::counts);
  if (found == comparison.differences.end()) return;
  throw Error(fmt::format("{} of the differences count{}, the first: {}: {} in '{}', {} in '{}'",
                          comparison.count(), comparison.count() == 1 ? "s" : "", found->what,
                          found->first, options.compare.at(0), found->second,
                          options.compare.at(1)));
}

// An option on the command line, and not only in the environment.
bool is_given(const CLI::Option& option) {
  if (option.count() == 0) return false;
  const auto value = environment_variable(option.get_envname().c_str());
  return option.get_envname().empty() || value != option.results().front();
}

void check_combination(const CLI::App& command, const CheckCommandOptions& options) {
  if (options.output) require_folder_of(*options.output, "--output");
  if (options.list && options.format == "json") {
    throw UsageError("--list prints a table only, as no row of it ran; leave out --format json");
  }
  if (options.compare.empty()) return;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    if (name == "--compare" || !is_given(*option)) continue;
    throw UsageError(fmt::format("--compare only reads two reports; leave out {}", name));
  }
}

void run_check(const CLI::App& command, const CheckCommandOptions& options, Console& console) {
  check_combination(command, options);
  if (!options.compare.empty()) return compare(options, console);
  const InterruptGuard guard;
  std::vector<nn::DeviceReport> reports;
  if (options.compute.device == "all") {
    reports = check_all(options, guard, console);
  } else {
    reports.push_back(check_one(options, options.compute.device, guard, console));
  }
  if (std::ranges::all_of(reports, [](const auto& r) { return r.rows.empty(); })) {
    throw UsageError(
        fmt::format("--filter '{}' leaves no row; --list shows the names of all", options.filter));
  }
  const std::string text = text_of(options, reports);
  if (options.output) {
    write_file_atomically(path_of(*options.output), text);
  } else {
    console.out << text;
  }
  require_no_failure(reports);
}

}  // namespace

void add_check_command(CLI::App& app, Console& console) {
  auto options = std::make_shared<CheckCommandOptions>();
  CLI::App* command = app.add_subcommand(
      "check", "Check that a device computes and trains correctly, and what it can do");
  add_device_options(*command, options->compute);
  command->get_option("--device")
      ->description("all, auto, an index, or a part of the device's name");
  command->add_option("--format", options->format, "How to print the report")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str()
      ->type_name("table|json");
  command->add_option("--output", options->output, "Write the report to this file instead")
      ->type_name("FILE");
  command
      ->add_option("--compare", options->compare,
                   "Show where two reports in JSON differ, instead of checking")
      ->expected(2)
      ->type_name("FILE FILE");
  command
      ->add_option("--filter", options->filter,
                   "Only rows with this text in 'part: operation, variant'")
      ->type_name("TEXT");
  command->add_flag("--list", options->list, "List the rows without running them");
  command->add_flag(
      "--all-kernels", options->all_kernels,
      "On a CPU driver also the tuner's last resorts and the kernels for GPUs and for "
      "other CPU drivers, which it takes minutes to compile");
  command->add_option("--seed", options->seed, "Of the random inputs")
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option("--jobs", options->jobs,
                   "How many operations to check at once, each on a device opened for it [CPU "
                   "drivers: one for each processor, at most 4; others: 1]")
      ->check(CLI::Range(1u, kMostJobs))
      ->type_name("N");
  command->callback([command, options, &console] { run_check(*command, *options, console); });
}

}  // namespace vktrain::app
