#include "apps/vktrain/reproduce_command.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "apps/vktrain/data_set.h"
#include "apps/vktrain/device_session.h"
#include "apps/vktrain/experiments.h"
#include "apps/vktrain/reproduce_plan.h"
#include "apps/vktrain/reproduction.h"
#include "apps/vktrain/reproduction_report.h"
#include "apps/vktrain/run_experiment.h"
#include "apps/vktrain/version.h"
#include "nn/training/trainer.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

namespace fs = std::filesystem;

void check_format(const std::string& format) {
  const std::set<std::string> known = {"table", "md", "csv", "json"};
  if (known.contains(format)) return;
  throw UsageError(
      fmt::format("--format must be one of table, md, csv, json, but it is '{}'.", format));
}

std::string date_text() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(now));
}

// Trains what is not there yet and keeps the report files up to date.
class Reproducer {
 public:
  Reproducer(const ReproduceArguments& arguments, std::vector<ReproducePlan> plans,
             Console& console)
      : arguments_(arguments),
        plans_(std::move(plans)),
        console_(console),
        mode_(parse_progress_mode(arguments.progress)),
        data_(load_data(plans_.front().experiment, arguments.data)),
        folder_(path_of(arguments.out)) {
    reproduction_.command = command_text(arguments);
    reproduction_.program = version_text();
    reproduction_.changes = change_texts(arguments.changes);
  }

  void run() {
    // Every run folder is looked at before the first training, so that one of another config is
    // known at once.
    std::vector<std::vector<nn::Experiment>> missing;
    for (const ReproducePlan& plan : plans_) missing.push_back(missing_runs(plan));
    for (const auto& runs : missing) to_train_ += runs.size();
    if (to_train_ > 0) {
      session_ = std::make_unique<DeviceSession>(arguments_.compute, console_.err);
    }
    if (arguments_.restart) {
      for (const ReproducePlan& plan : plans_) {
        for (const nn::Experiment& run : plan.runs) folder_.remove(run);
      }
    }
    write_report();
    for (std::size_t i = 0; i < plans_.size(); ++i) train(plans_[i], missing[i]);
  }

  // Of the experiments that were asked for; the files have those of earlier commands too.
  Reproduction selected() const {
    Reproduction result = reproduction_;
    std::erase_if(result.rows, [this](const ReproductionRow& row) {
      return std::none_of(plans_.begin(), plans_.end(), [&row](const ReproducePlan& plan) {
        return plan.experiment.id == row.experiment.id;
      });
    });
    return result;
  }

  void close() {
    if (session_) session_->close();
  }

  const fs::path& folder() const { return folder_.path(); }

 private:
  std::int64_t test_images() const { return static_cast<std::int64_t>(data_.test.labels.size()); }

  std::vector<nn::Experiment> missing_runs(const ReproducePlan& plan) const {
    if (arguments_.restart) return plan.runs;
    std::vector<nn::Experiment> missing;
    for (const nn::Experiment& run : plan.runs) {
      if (!folder_.find(run, test_images())) missing.push_back(run);
    }
    return missing;
  }

  // On a GPU all seeds in one plan, which takes little longer than one; a CPU is busy with one. The
  // bits are the same.
  void train(const ReproducePlan& plan, const std::vector<nn::Experiment>& runs) {
    if (runs.empty()) return;
    try {
      const bool cpu = session_->device().profile().kind == runtime::DeviceKind::cpu;
      if (runs.size() > 1 && !cpu) {
        train_together(runs);
      } else {
        for (const nn::Experiment& run : runs) train_alone(run);
      }
    } catch (const Interrupted&) {
      throw Interrupted(fmt::format(
          "interrupted after {} of {} runs; the same command goes on from there. The report so far "
          "is '{}'.",
          trained_, to_train_, (folder() / "report.md").string()));
    } catch (const DeviceError& error) {
      throw DeviceError(fmt::format("{}: {}", plan.experiment.id, error.what()));
    } catch (const Error& error) {
      failures_[plan.experiment.id] = error.what();
      write_report();
    }
  }

  void train_alone(const nn::Experiment& run) {
    folder_.remove(run);
    train_in(folder_.run_folder(run), run, 1, fmt::format("seed {}", run.training.seed));
    ++trained_;
    write_report();
  }

  void train_together(const std::vector<nn::Experiment>& runs) {
    nn::Experiment replicas = runs.front();
    for (const nn::Experiment& run : runs) {
      folder_.remove(run);
      replicas.training.seeds.push_back(run.training.seed);
    }
    train_in(folder_.scratch_folder(replicas), replicas, runs.size(),
             fmt::format("seeds {}", fmt::join(replicas.training.seeds, ", ")));
    folder_.adopt(runs);
    trained_ += runs.size();
    write_report();
  }

  void train_in(const fs::path& folder, const nn::Experiment& experiment, std::size_t count,
                const std::string& seeds) {
    // With another format than the table, the standard output is for that alone.
    Console quiet{console_.err, console_.err, 0};
    Progress progress(arguments_.format == "table" ? console_ : quiet, mode_);
    const std::size_t first = trained_ + 1;
    const std::string number =
        count > 1 ? fmt::format("{}-{}", first, first + count - 1) : std::to_string(first);
    progress.note(fmt::format("run {} of {}: {}, {}", number, to_train_, experiment.id, seeds));
    RunOptions options;
    options.folder = folder;
    options.tuner = session_->tuner();
    run_experiment(session_->device(), data_, experiment, options, progress);
    progress.note("");
  }

  ReproductionRow row_of(const ReproducePlan& plan) const {
    ReproductionRow row;
    row.experiment = plan.experiment;
    row.trial = plan.trial;
    row.seeds = static_cast<std::int64_t>(plan.runs.size());
    row.runs = folder_.find_all(plan.experiment, test_images());
    const auto failure = failures_.find(plan.experiment.id);
    if (failure != failures_.end()) row.failure = failure->second;
    return row;
  }

  // Also has the finished runs of experiments that this command does not name, so that a folder
  // that was filled in several goes has one report.
  void write_report() {
    reproduction_.rows.clear();
    reproduction_.date = date_text();
    const nn::ExperimentLibrary library = built_in_experiments();
    for (const std::string& id : library.ids()) {
      const auto plan = std::find_if(plans_.begin(), plans_.end(), [&id](const ReproducePlan& p) {
        return p.experiment.id == id;
      });
      if (plan != plans_.end()) {
        reproduction_.rows.push_back(row_of(*plan));
      } else if (fs::is_directory(folder() / id)) {
        add_earlier_runs(library.find(id));
      }
    }
    write_file_atomically(folder() / "report.md", report_markdown(reproduction_));
    write_file_atomically(folder() / "report.csv", report_csv(reproduction_));
    write_file_atomically(folder() / "report.json", report_json(reproduction_));
  }

  void add_earlier_runs(const nn::Experiment& built_in) {
    ReproducePlan plan{built_in, {}, false};
    ReproductionRow row = row_of(plan);
    if (!row.runs.empty()) reproduction_.rows.push_back(std::move(row));
  }

  const ReproduceArguments& arguments_;
  std::vector<ReproducePlan> plans_;
  Console& console_;
  ProgressMode mode_;
  nn::FashionMnist data_;
  ReproductionFolder folder_;
  std::unique_ptr<DeviceSession> session_;  // only when there is something to train
  Reproduction reproduction_;
  std::map<std::string, std::string> failures_;  // by experiment
  std::size_t to_train_ = 0;
  std::size_t trained_ = 0;
};

std::string formatted(const Reproduction& reproduction, const std::string& format) {
  if (format == "md") return report_markdown(reproduction);
  if (format == "csv") return report_csv(reproduction);
  if (format == "json") return report_json(reproduction);
  return report_table(reproduction);
}

void check_failures(const Reproduction& reproduction) {
  std::vector<std::string> failed;
  for (const ReproductionRow& row : reproduction.rows) {
    if (!row.failure.empty()) failed.push_back(row.experiment.id + ": " + row.failure);
  }
  if (failed.empty()) return;
  throw Error(fmt::format("{} of {} experiments failed: {}", failed.size(),
                          reproduction.rows.size(), fmt::join(failed, "; ")));
}

void reproduce(const ReproduceArguments& arguments, Console& console) {
  check_format(arguments.format);
  const nn::ExperimentLibrary library = built_in_experiments();
  Reproducer reproducer(arguments, make_plans(library, arguments), console);
  reproducer.run();
  const Reproduction result = reproducer.selected();
  console.out << formatted(result, arguments.format);
  if (arguments.format == "table") {
    console.out << fmt::format("\nReport files: {}\n",
                               (reproducer.folder() / "report.{md,csv,json}").string());
  }
  check_failures(result);
  reproducer.close();
}

}  // namespace

void add_reproduce_command(CLI::App& app, Console& console) {
  auto arguments = std::make_shared<ReproduceArguments>();
  CLI::App* command = app.add_subcommand(
      "reproduce", "Train built-in experiments and compare with what the reports printed");
  command->add_option("experiments", arguments->experiments,
                      "Ids of `vktrain experiments`, or patterns as 'a-fcn-*'");
  command->add_option("--suite", arguments->suite, "Instead of experiments: a set of them")
      ->type_name("quick|fcn|cnn|all|report-a|...");
  command
      ->add_option("--report", arguments->reports,
                   "Only the experiments of this report; may be repeated")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("a|b|c|d|e");
  command
      ->add_option("--seeds", arguments->changes.seeds,
                   "Train each with K seeds, or with a list of seeds [default: 1]")
      ->type_name("K|A,B,...");
  add_compute_options(*command, arguments->compute);
  command->add_option("--data", arguments->data, "Folder of the data set")->type_name("DIR");
  command
      ->add_option("--out", arguments->out,
                   "Folder of the runs and of the report; finished runs in it are not repeated")
      ->capture_default_str()
      ->type_name("DIR");
  command->add_option("--format", arguments->format, "What to print at the end")
      ->capture_default_str()
      ->type_name("table|md|csv|json");
  command->add_flag("--restart", arguments->restart, "Train finished runs again");
  command
      ->add_option("--epochs", arguments->changes.epochs,
                   "For a trial: passes over the training images")
      ->type_name("N");
  command
      ->add_option("--set", arguments->changes.set,
                   "For a trial: set any key of the experiments; may be repeated")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("KEY=VALUE");
  command->add_option("--progress", arguments->progress, "What to show while training")
      ->capture_default_str()
      ->type_name("auto|plain|none");
  command->callback([arguments, &console] { reproduce(*arguments, console); });
}

}  // namespace vktrain::app
