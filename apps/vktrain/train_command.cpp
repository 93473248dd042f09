#include "apps/vktrain/train_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "apps/vktrain/data_set.h"
#include "apps/vktrain/device_session.h"
#include "apps/vktrain/experiments.h"
#include "apps/vktrain/experiments_command.h"
#include "apps/vktrain/run_experiment.h"
#include "apps/vktrain/saved_run.h"
#include "runtime/error.h"
#include "runtime/platform.h"
#include "runtime/profile_report.h"

namespace vktrain::app {
namespace {

struct TrainArguments {
  std::string experiment;
  ExperimentOptions changes;
  ComputeOptions compute;
  std::optional<std::string> data;
  std::optional<std::string> init_from;
  std::optional<std::string> save;
  std::optional<std::string> run_dir;
  std::string progress = "auto";
  bool profile = false;
  bool list = false;
};

void check_save(const std::optional<std::string>& save, const nn::Experiment& experiment) {
  if (!save) return;
  if (!experiment.training.seeds.empty() || !experiment.learning_rates.empty()) {
    throw UsageError(
        "--save takes one run; replicas save their parameters in the folders of the run folder.");
  }
  require_folder_of(*save, "--save");
}

void train(const TrainArguments& arguments, Console& console) {
  if (arguments.list) return list_experiments(console);
  if (arguments.experiment.empty()) {
    throw UsageError("train needs an experiment: an id of `vktrain experiments` or a .toml file.");
  }
  Progress progress(console, parse_progress_mode(arguments.progress));
  nn::Experiment experiment = resolve_experiment(arguments.experiment);
  change_experiment(experiment, arguments.changes);
  check_save(arguments.save, experiment);
  RunOptions options;
  options.profile = arguments.profile;
  if (arguments.run_dir) {
    options.folder = path_of(*arguments.run_dir);
    nn::require_unused(*options.folder);
  }
  if (arguments.init_from) {
    const std::filesystem::path file = path_of(*arguments.init_from);
    options.initial = {file, nn::read_safetensors(file)};
  }
  const nn::FashionMnist data = load_data(experiment, arguments.data);

  DeviceSession session(arguments.compute, console.err);
  options.tuner = session.tuner();
  const RunOutcome outcome = run_experiment(session.device(), data, experiment, options, progress);
  if (arguments.save) {
    nn::write_safetensors(path_of(*arguments.save), outcome.replicas.front().parameters);
  }
  if (arguments.profile) console.out << runtime::profile_report(outcome.timings);
  if (outcome.trace) {
    console.out << fmt::format(
        "time lines of the first steps: {} (open it in ui.perfetto.dev or chrome://tracing)\n",
        outcome.trace->string());
  }
  console.out << result_text(experiment, outcome);
  session.close();
}

}  // namespace

void add_train_command(CLI::App& app, Console& console) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = app.add_subcommand("train", "Train an experiment and write a run folder");
  command->add_option("experiment", arguments->experiment,
                      "A built-in experiment (see `vktrain experiments`) or a .toml file");
  add_experiment_options(*command, arguments->changes);
  add_compute_options(*command, arguments->compute);
  command->add_option("--data", arguments->data, "Folder of the data set")->type_name("DIR");
  command
      ->add_option("--init-from", arguments->init_from,
                   "Start from these parameters instead of drawn ones")
      ->type_name("F.safetensors");
  command->add_option("--save", arguments->save, "Also write the trained parameters here")
      ->type_name("F.safetensors");
  command
      ->add_option("--run-dir", arguments->run_dir,
                   "Run folder, new or empty [default: runs/ID, with -2, -3, ... if it exists]")
      ->type_name("DIR");
  command->add_option("--progress", arguments->progress, "What to show while training")
      ->capture_default_str()
      ->type_name("auto|plain|none");
  command->add_flag("--profile", arguments->profile,
                    "Show the time of every kernel, and write time lines to trace.json");
  command->add_flag("--list", arguments->list, "List the built-in experiments");
  command->callback([arguments, &console] { train(*arguments, console); });
}

}  // namespace vktrain::app
