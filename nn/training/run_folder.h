// The folder of one training run:
//   config.toml        the resolved experiment; training it again with the same kernels
//                      repeats the run bit for bit
//   device.json        the device, the program's version and commit, and which kernels did the
//                      operations that have a choice of them
//   metrics.jsonl      a line per epoch, as it ends; val_* are null without a validation split
//   steps.jsonl        a line per log_every steps; only with log_every
//   model.safetensors  the trained parameters, written at the end
//   trace.json         time lines of the first steps; only with --profile, and of replicas in the
//                      folder of the whole
//   result.json        final and best metrics, counts and times, the reported values; written last:
//                      a folder without it is of a run that did not end
// Two runs of one experiment on the same device, driver and build, with the same remembered kernels
// (nn/tuning/tuner.h) or without tuning, write the same bytes, but for the times: "seconds" and
// "images_per_second", in result.json what derives from them, and trace.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "nn/experiment/experiment.h"
#include "nn/io/safetensors.h"
#include "nn/training/early_stopping.h"
#include "nn/training/metrics.h"
#include "runtime/device.h"

namespace vktrain::nn {

inline constexpr std::string_view kConfigFile = "config.toml";
inline constexpr std::string_view kMetricsFile = "metrics.jsonl";
inline constexpr std::string_view kStepsFile = "steps.jsonl";
inline constexpr std::string_view kResultFile = "result.json";
inline constexpr std::string_view kDeviceFile = "device.json";
inline constexpr std::string_view kTraceFile = "trace.json";
inline constexpr std::string_view kModelFile = "model.safetensors";
// Only of a run that started from given parameters; `--init-from` it to repeat the run.
inline constexpr std::string_view kInitialFile = "initial.safetensors";

// The kernel of an operation by its family and shape, see nn/tuning/variant_choices.h.
using KernelNames = std::map<std::pair<std::string, std::string>, std::string>;

// What trained, for device.json.
struct ProgramInfo {
  std::string version;
  std::string commit;  // empty when the build did not know it
};

// How a run ended.
struct RunResult {
  EpochMetrics last;  // of the parameters that the run ended with
  EpochMetrics best;  // by validation accuracy, without a validation split by test accuracy
  std::optional<EarlyStop> early_stop = std::nullopt;  // absent without early stopping
  std::int64_t parameter_count = 0;
  std::int64_t steps = 0;
  double train_seconds = 0;  // of the training steps of all epochs, evaluations excluded

  // Validation loss minus training loss; absent without a validation split.
  std::optional<double> overfitting_gap() const;

  // Trained values per second of training, the efficiency of the reports.
  double weights_per_second() const;
};

// Gathers a run's result from its epochs.
class RunResultBuilder {
 public:
  void add_epoch(const EpochMetrics& metrics);
  // Needs at least one epoch; `last` as Trainer::train returns it. The rest of the result is left
  // to the caller.
  RunResult result(const EpochMetrics& last) const;

 private:
  std::optional<EpochMetrics> best_;
  double seconds_ = 0;
};

// Throws Error when `folder` exists and is anything but an empty folder.
void require_unused(const std::filesystem::path& folder);

// Makes a folder of its own: `folder`, or with the suffix -2, -3, ... when that exists. Safe
// against other processes that do the same. Throws Error when it cannot be made.
std::filesystem::path make_new_folder(const std::filesystem::path& folder);

class RunFolder {
 public:
  // Writes config.toml and device.json. The folder is made if need be; throws Error unless it is
  // empty. `experiment` is a single run, without seeds and learning rates of replicas.
  RunFolder(const std::filesystem::path& folder, const Experiment& experiment,
            const runtime::DeviceProfile& device, const ProgramInfo& program,
            const KernelNames& kernels = {});

  const std::filesystem::path& path() const { return path_; }

  // Keeps the parameters that the run started from.
  void write_initial(const SafeTensors& parameters);

  // Each call leaves whole lines in the file. Throws Error when they cannot be written.
  void add_steps(std::span<const StepRecord> steps);
  void add_epoch(const EpochMetrics& metrics);

  // Writes model.safetensors, then result.json, each atomically.
  void finish(const RunResult& result, const SafeTensors& parameters);

 private:
  void append(std::ofstream& stream, std::string_view file, const std::string& lines);

  std::filesystem::path path_;
  Experiment experiment_;
  std::ofstream metrics_;
  std::ofstream steps_;
};

// A run as it was saved, for evaluation.
struct SavedRun {
  Experiment experiment;
  SafeTensors parameters;
};

// `path`: a run folder, or a safetensors file whose config is `config`, by default config.toml
// beside it. Throws UsageError when there is no config, Error when a file cannot be read.
SavedRun load_run(const std::filesystem::path& path,
                  const std::optional<std::filesystem::path>& config = {});

}  // namespace vktrain::nn
