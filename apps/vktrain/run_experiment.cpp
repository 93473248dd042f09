#include "apps/vktrain/run_experiment.h"

#include <fmt/format.h>

#include <memory>
#include <set>

#include "apps/vktrain/class_report.h"
#include "apps/vktrain/text.h"
#include "apps/vktrain/version.h"
#include "nn/experiment/experiment_toml.h"
#include "nn/training/run_json.h"
#include "nn/training/statistics.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/profile_trace.h"

namespace vktrain::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRunsFolder = "runs";

// Names of the replicas' folders; a single run needs none.
std::vector<std::string> replica_names(const nn::Experiment& experiment,
                                       std::span<const nn::Experiment> replicas) {
  std::vector<std::string> names;
  const bool grid = !experiment.learning_rates.empty();
  if (!grid && experiment.training.seeds.empty()) return {""};
  std::set<std::string> unique;
  for (const nn::Experiment& replica : replicas) {
    names.push_back((grid ? fmt::format("lr-{}-", replica.optimizer.learning_rate) : "") +
                    fmt::format("seed-{}", replica.training.seed));
    if (!unique.insert(names.back()).second) {
      throw UsageError(
          fmt::format("the replica {} is asked for twice; seeds and learning rates must differ.",
                      names.back()));
    }
  }
  return names;
}

// Passes what happens to the progress and to the run folders, and ends the training on Ctrl-C.
class Recorder : public nn::TrainObserver {
 public:
  Recorder(std::vector<nn::RunFolder>& folders, Progress& progress)
      : folders_(folders), results_(folders.size()), progress_(progress) {}

  void on_progress(const nn::TrainProgress& progress) override {
    progress_.update(progress);
    if (!guard_.interrupted()) return;
    const std::string folder = folders_.front().path().string();
    const std::string kept =
        epochs_ > 0 ? fmt::format("metrics so far are in '{}'", folder)
                    : fmt::format("no epoch had ended, so that '{}' has no metrics yet", folder);
    throw Interrupted(
        fmt::format("interrupted after step {} of {}; {}.", progress.step, progress.steps, kept));
  }
  void on_steps(std::uint32_t replica, std::span<const nn::StepRecord> steps) override {
    folders_[replica].add_steps(steps);
  }
  void on_epoch(std::uint32_t replica, const nn::EpochMetrics& metrics) override {
    folders_[replica].add_epoch(metrics);
    results_[replica].add_epoch(metrics);
    epochs_ = metrics.epoch;
    progress_.epoch(metrics);
  }
  void on_epoch_end(std::int64_t /*epoch*/) override { progress_.epoch_end(); }

  nn::RunResult result(const nn::Trainer& trainer, std::uint32_t replica,
                       const nn::EpochMetrics& last) const {
    nn::RunResult result = results_[replica].result(last);
    result.early_stop = trainer.early_stop(replica);
    result.parameter_count = trainer.parameter_count();
    result.steps = trainer.steps(replica);
    return result;
  }

 private:
  InterruptGuard guard_;
  std::vector<nn::RunFolder>& folders_;
  std::vector<nn::RunResultBuilder> results_;
  Progress& progress_;
  std::int64_t epochs_ = 0;  // ended, of any replica
};

fs::path make_run_folder(const nn::Experiment& experiment, const RunOptions& options) {
  if (!options.folder) {
    const std::string id = experiment.id.empty() ? "run" : experiment.id;
    return nn::make_new_folder(fs::path(kRunsFolder) / id);
  }
  nn::require_unused(*options.folder);
  return *options.folder;
}

void load_initial(nn::Trainer& trainer, const InitialParameters& initial) {
  try {
    for (std::uint32_t r = 0; r < trainer.replicas(); ++r) {
      trainer.load_parameters(r, initial.tensors);
    }
  } catch (const Error& error) {
    throw Error(fmt::format("cannot start from '{}': {}", initial.file.string(), error.what()));
  }
}

nn::KernelNames kernels_of(const RunOptions& options) {
  return options.tuner ? options.tuner->used() : nn::KernelNames{};
}

std::vector<nn::RunFolder> open_folders(const fs::path& folder, const RunOptions& options,
                                        std::span<const ReplicaRun> replicas,
                                        const runtime::DeviceProfile& device) {
  std::vector<nn::RunFolder> folders;
  for (const ReplicaRun& replica : replicas) {
    const fs::path own = replica.name.empty() ? folder : folder / replica.name;
    folders.emplace_back(own, replica.experiment, device, program_info(), kernels_of(options));
    if (options.initial) folders.back().write_initial(options.initial->tensors);
  }
  return folders;
}

void write_summary(const fs::path& folder, const nn::Experiment& experiment,
                   std::span<const ReplicaRun> replicas) {
  std::vector<std::string> names;
  std::vector<nn::Experiment> experiments;
  std::vector<nn::RunResult> results;
  for (const ReplicaRun& replica : replicas) {
    names.push_back(replica.name);
    experiments.push_back(replica.experiment);
    results.push_back(replica.result);
  }
  write_file_atomically(folder / nn::kResultFile,
                        nn::replicas_json(experiment, names, experiments, results));
}

std::vector<ReplicaRun> untrained_replicas(const nn::Experiment& experiment) {
  std::vector<nn::Experiment> singles = nn::expand_replicas(experiment);
  const std::vector<std::string> names = replica_names(experiment, singles);
  std::vector<ReplicaRun> replicas;
  for (std::size_t i = 0; i < singles.size(); ++i) {
    ReplicaRun& replica = replicas.emplace_back();
    replica.name = names[i];
    replica.experiment = std::move(singles[i]);
  }
  return replicas;
}

std::string reported_text(const nn::ReportedResults& reported) {
  return reported.test_accuracy ? fmt::format(" (reported {:.4f})", *reported.test_accuracy) : "";
}

// "; stopped after epoch 12, best epoch 7 restored"
std::string early_stop_text(const std::optional<nn::EarlyStop>& stop) {
  if (!stop) return "";
  std::string text =
      stop->stopped_epoch ? fmt::format("; stopped after epoch {}", *stop->stopped_epoch) : "";
  if (stop->best_epoch == 0) return text;
  return text + fmt::format("{} best epoch {}{}", stop->stopped_epoch ? "," : ";", stop->best_epoch,
                            stop->restored ? " restored" : "");
}

std::string replica_text(const ReplicaRun& replica) {
  const nn::RunResult& result = replica.result;
  const nn::EvaluationMetrics& test = result.last.test;
  const std::optional<double> gap = result.overfitting_gap();
  return fmt::format(
      "test accuracy {:.4f}{}, exact {:.4f}, batches {:.4f} ± {:.4f}{}; {} weights in {}, {} "
      "weights/s{}",
      test.accuracy, reported_text(replica.experiment.reported), test.exact_accuracy,
      test.batch_mean_accuracy, test.batch_sigma,
      gap ? fmt::format(", overfitting gap {:.4f}", *gap) : "", grouped(result.parameter_count),
      duration(result.train_seconds),
      grouped(static_cast<std::int64_t>(result.weights_per_second())),
      early_stop_text(result.early_stop));
}

}  // namespace

RunOutcome run_experiment(runtime::Device& device, const nn::FashionMnist& data,
                          const nn::Experiment& experiment, const RunOptions& options,
                          Progress& progress) {
  if (options.folder) nn::require_unused(*options.folder);
  RunOutcome outcome;
  outcome.replicas = untrained_replicas(experiment);
  const bool single = outcome.replicas.front().name.empty();

  nn::TrainerOptions trainer_options;
  trainer_options.profile = options.profile;
  trainer_options.progress_metrics = progress.live();
  trainer_options.tuner = options.tuner;
  nn::Trainer trainer(device, nn::expand_replicas(experiment), data.train, data.test,
                      trainer_options);
  if (options.initial) load_initial(trainer, *options.initial);
  progress.start(trainer, experiment, device.profile());
  if (options.tuner) {
    const std::string tuned = nn::to_string(options.tuner->summary());
    if (!tuned.empty()) progress.note(tuned);
  }

  outcome.folder = make_run_folder(experiment, options);
  std::vector<nn::RunFolder> folders =
      open_folders(outcome.folder, options, outcome.replicas, device.profile());
  if (!single) {
    write_file_atomically(outcome.folder / nn::kConfigFile, nn::to_toml(experiment));
    write_file_atomically(outcome.folder / nn::kDeviceFile,
                          nn::device_json(device.profile(), program_info(), kernels_of(options)));
  }
  progress.note(fmt::format("run folder {}", outcome.folder.string()));

  Recorder recorder(folders, progress);
  const std::vector<nn::EpochMetrics> last = trainer.train(recorder);
  for (std::uint32_t r = 0; r < trainer.replicas(); ++r) {
    ReplicaRun& replica = outcome.replicas[r];
    replica.result = recorder.result(trainer, r, last[r]);
    replica.parameters = trainer.parameters(r);
    folders[r].finish(replica.result, replica.parameters);
  }
  if (!single) write_summary(outcome.folder, experiment, outcome.replicas);
  outcome.timings = trainer.timings();
  if (options.profile) {
    outcome.trace = outcome.folder / nn::kTraceFile;
    write_file_atomically(*outcome.trace,
                          runtime::trace_json(trainer.trace(), device.profile().name));
  }
  return outcome;
}

std::string result_text(const nn::Experiment& experiment, const RunOutcome& outcome) {
  const std::string id = experiment.id.empty() ? "run" : experiment.id;
  std::string text;
  std::vector<double> accuracies;
  nn::Confusion confusion;  // of all replicas
  for (const ReplicaRun& replica : outcome.replicas) {
    const bool single = replica.name.empty();
    text +=
        fmt::format("{}: {}; {}\n", single ? id : id + " " + replica.name, replica_text(replica),
                    (single ? outcome.folder : outcome.folder / replica.name).string());
    accuracies.push_back(replica.result.last.test.accuracy);
    confusion += replica.result.last.test.confusion;
  }
  if (accuracies.size() > 1) {
    text +=
        fmt::format("{}: test accuracy {:.4f} ± {:.4f} over {} replicas{}; {}\n", id,
                    nn::mean_of(accuracies), nn::sample_deviation(accuracies).value(),
                    accuracies.size(), reported_text(experiment.reported), outcome.folder.string());
  }
  return text + class_lines(experiment, confusion);
}

}  // namespace vktrain::app
