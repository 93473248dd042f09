#include "apps/vktrain/app.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <vector>

#include "apps/vktrain/bench_command.h"
#include "apps/vktrain/check_command.h"
#include "apps/vktrain/data_command.h"
#include "apps/vktrain/devices_command.h"
#include "apps/vktrain/evaluate_command.h"
#include "apps/vktrain/experiments_command.h"
#include "apps/vktrain/interrupt.h"
#include "apps/vktrain/kernels_command.h"
#include "apps/vktrain/predict_command.h"
#include "apps/vktrain/reproduce_command.h"
#include "apps/vktrain/train_command.h"
#include "apps/vktrain/version.h"
#include "nn/experiment/suggest.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

int fail(Console& console, std::string message, int code) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  if (!message.ends_with('.') && !message.ends_with('?')) message += '.';
  console.out.flush();
  console.err << "vktrain: error: " << message << std::endl;
  return code;
}

// CLI11 takes an unknown command for an argument too many. `path` is what the user typed before.
void check_command(CLI::App& app, std::span<const std::string> arguments,
                   const std::string& path = "") {
  if (arguments.empty() || arguments.front().starts_with('-')) return;
  std::vector<std::string> known;
  for (CLI::App* command : app.get_subcommands({})) {
    if (command->check_name(arguments.front())) {
      if (command->get_require_subcommand_min() == 0) return;
      return check_command(*command, arguments.subspan(1), path + command->get_name() + " ");
    }
    known.push_back(command->get_name());
  }
  throw UsageError(fmt::format("there is no command '{}{}'; {}", path, arguments.front(),
                               nn::suggest(arguments.front(), known)));
}

int run_command(std::span<const std::string> arguments, Console& console) {
  CLI::App app("Trains neural networks on any Vulkan device.", "vktrain");
  app.set_version_flag("--version", [] { return version_text(); });
  app.require_subcommand(1);
  add_train_command(app, console);
  add_evaluate_command(app, console);
  add_predict_command(app, console);
  add_reproduce_command(app, console);
  add_bench_command(app, console);
  add_experiments_command(app, console);
  add_devices_command(app, console);
  add_check_command(app, console);
  add_kernels_command(app, console);
  add_data_command(app, console);

  check_command(app, arguments);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error, console.out, console.err);
    return fail(console, fmt::format("{}; see --help.", error.what()), kExitUsage);
  }
  console.out.flush();
  if (!console.out) return fail(console, "cannot write to the standard output.", kExitFailed);
  return kExitDone;
}

}  // namespace

int run(std::span<const std::string> arguments, Console& console) {
  try {
    return run_command(arguments, console);
  } catch (const Interrupted& interrupted) {
    return fail(console, interrupted.what(), kExitInterrupted);
  } catch (const UsageError& error) {
    return fail(console, error.what(), kExitUsage);
  } catch (const std::exception& error) {
    return fail(console, error.what(), kExitFailed);
  }
}

}  // namespace vktrain::app
