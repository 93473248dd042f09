#include "nn/training/run_folder.h"

#include <fmt/format.h>

#include "nn/experiment/experiment_toml.h"
#include "nn/training/run_json.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

namespace fs = std::filesystem;

double score(const EpochMetrics& metrics) {
  return metrics.validation ? metrics.validation->accuracy : metrics.test.accuracy;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw Error(fmt::format("cannot make the folder '{}': {}.", folder.string(), error.message()));
  }
}

fs::path config_of(const fs::path& run, const std::optional<fs::path>& config) {
  if (config) return *config;
  const fs::path folder = fs::is_directory(run) ? run : run.parent_path();
  fs::path file = folder / kConfigFile;
  if (!fs::exists(file)) {
    throw UsageError(
        fmt::format("'{}' has no config: expected '{}'; name the run's config with --config.",
                    run.string(), file.string()));
  }
  return file;
}

fs::path model_of(const fs::path& run) {
  if (!fs::is_directory(run)) return run;
  fs::path file = run / kModelFile;
  if (!fs::exists(file)) {
    throw Error(fmt::format(
        "'{}' has no {}: its training did not end, or it holds replicas, of which each has a "
        "folder in it; name one of those.",
        run.string(), kModelFile));
  }
  return file;
}

}  // namespace

double RunResult::weights_per_second() const {
  return static_cast<double>(parameter_count) / train_seconds;
}

std::optional<double> RunResult::overfitting_gap() const {
  if (!last.validation) return std::nullopt;
  return last.validation->loss - last.train_loss;
}

void RunResultBuilder::add_epoch(const EpochMetrics& metrics) {
  if (!best_ || score(metrics) > score(*best_)) best_ = metrics;
  seconds_ += metrics.seconds;
}

RunResult RunResultBuilder::result(const EpochMetrics& last) const {
  RunResult result;
  result.last = last;
  result.best = best_.value();
  result.train_seconds = seconds_;
  return result;
}

void require_unused(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status)) return;
  if (fs::is_directory(status) && fs::is_empty(folder, error) && !error) return;
  throw Error(fmt::format(
      "the run folder '{}' exists and is not an empty folder; choose another with --run-dir or "
      "remove it.",
      folder.string()));
}

fs::path make_new_folder(const fs::path& folder) {
  if (folder.has_parent_path()) make_folder(folder.parent_path());
  constexpr int kMostFolders = 100'000;
  for (int number = 1; number <= kMostFolders; ++number) {
    fs::path candidate = folder;
    if (number > 1) candidate += fmt::format("-{}", number);
    std::error_code error;
    if (fs::create_directory(candidate, error)) return candidate;
    if (error && error != std::errc::file_exists) {
      throw Error(
          fmt::format("cannot make the folder '{}': {}.", candidate.string(), error.message()));
    }
  }
  throw Error(fmt::format("'{}' and {} folders with a number after it exist; remove some.",
                          folder.string(), kMostFolders - 1));
}

RunFolder::RunFolder(const fs::path& folder, const Experiment& experiment,
                     const runtime::DeviceProfile& device, const ProgramInfo& program,
                     const KernelNames& kernels)
    : path_(folder), experiment_(experiment) {
  require_unused(path_);
  make_folder(path_);
  write_file_atomically(path_ / kConfigFile, to_toml(experiment_));
  write_file_atomically(path_ / kDeviceFile, device_json(device, program, kernels));
}

void RunFolder::write_initial(const SafeTensors& parameters) {
  write_safetensors(path_ / kInitialFile, parameters);
}

void RunFolder::append(std::ofstream& stream, std::string_view file, const std::string& lines) {
  if (!stream.is_open()) stream.open(path_ / file, std::ios::binary | std::ios::app);
  stream << lines << std::flush;
  if (!stream) {
    throw Error(fmt::format("cannot write '{}'; is the disk full?", (path_ / file).string()));
  }
}

void RunFolder::add_steps(std::span<const StepRecord> steps) {
  std::string lines;
  for (const StepRecord& record : steps) lines += to_json_line(record) + "\n";
  append(steps_, kStepsFile, lines);
}

void RunFolder::add_epoch(const EpochMetrics& metrics) {
  append(metrics_, kMetricsFile, to_json_line(metrics) + "\n");
}

void RunFolder::finish(const RunResult& result, const SafeTensors& parameters) {
  write_safetensors(path_ / kModelFile, parameters);
  write_file_atomically(path_ / kResultFile, result_json(experiment_, result));
}

SavedRun load_run(const fs::path& path, const std::optional<fs::path>& config) {
  if (!fs::exists(path)) {
    throw Error(fmt::format("'{}' does not exist; expected a run folder or a safetensors file.",
                            path.string()));
  }
  const fs::path config_path = config_of(path, config);
  SavedRun run;
  run.experiment = parse_experiment(read_text_file(config_path), config_path.string());
  run.parameters = read_safetensors(model_of(path));
  return run;
}

}  // namespace vktrain::nn
