#include "apps/vktrain/reproduction.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "nn/experiment/experiment_toml.h"
#include "nn/training/run_folder.h"
#include "nn/training/statistics.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kScratchFolder = "unfinished";
constexpr std::string_view kSeedPrefix = "seed-";
constexpr std::string_view kTogetherFile = "together.json";  // of seeds that trained at once
constexpr std::string_view kLockFile = ".lock";
constexpr std::string_view kTemporaryPrefix = ".vktrain-";  // of write_file_atomically

std::optional<double> number(const Json& json) {
  return json.is_number() ? std::optional<double>(json.get<double>()) : std::nullopt;
}

Json read_json(const fs::path& file) {
  try {
    return Json::parse(read_text_file(file));
  } catch (const Json::exception& error) {
    throw Error(
        fmt::format("'{}' is not JSON as vktrain writes it ({}); remove it, and the run "
                    "will be trained again.",
                    file.string(), error.what()));
  }
}

// What decides the bits of a run: everything but the words and the report's numbers.
nn::Experiment essence(nn::Experiment experiment) {
  experiment.id.clear();
  experiment.description.clear();
  experiment.report.clear();
  experiment.notes.clear();
  experiment.reported = {};
  return experiment;
}

// Nothing when the config cannot be read, for example because another version wrote it.
std::optional<nn::Experiment> read_config(const fs::path& folder) {
  try {
    const fs::path file = folder / nn::kConfigFile;
    return nn::parse_experiment(read_text_file(file), file.string());
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Of the confusion matrix in an evaluation; of no classes when it has none.
nn::Confusion confusion_of(const Json& evaluation) {
  const auto found = evaluation.find("confusion");
  if (found == evaluation.end()) return {};
  const auto rows = found->get<std::vector<std::vector<std::int64_t>>>();
  std::vector<std::int64_t> counts;
  for (const auto& row : rows) counts.insert(counts.end(), row.begin(), row.end());
  if (counts.size() != rows.size() * rows.size()) return {};
  return {rows.size(), std::move(counts)};
}

RunRecord read_record(const fs::path& folder) {
  const fs::path file = folder / nn::kResultFile;
  const Json result = read_json(file);
  const Json info = read_json(folder / nn::kDeviceFile);
  const fs::path together = folder / kTogetherFile;
  RunRecord record;
  try {
    record.seed = result.at("seed").get<std::uint64_t>();
    record.parameter_count = result.at("parameter_count").get<std::int64_t>();
    record.test_accuracy = number(result.at("test_accuracy"));
    record.val_accuracy = number(result.at("val_accuracy"));
    record.train_loss = number(result.at("final").at("train_loss"));
    record.val_loss = number(result.at("final").at("val_loss"));
    record.test_loss = number(result.at("final").at("test_loss"));
    record.batch_sigma = number(result.at("test").at("batch_sigma"));
    record.train_seconds = number(result.at("train_seconds"));
    record.weights_per_second = number(result.at("weights_per_second"));
    record.confusion = confusion_of(result.at("test"));
    const Json& device = info.at("device");
    const auto text = [](const Json& json) {
      return json.is_string() ? json.get<std::string>() : "";
    };
    record.device = fmt::format("{}, {}", text(device.at("name")), text(device.at("driver_info")));
    const Json& program = info.at("program");
    record.program = fmt::format("{} {}", text(program.at("name")), text(program.at("version")));
    const std::string commit = text(program.at("commit"));
    if (!commit.empty()) record.program += fmt::format(" ({})", commit);
    if (fs::exists(together)) {
      record.trained_together = static_cast<std::int64_t>(read_json(together).at("seeds").size());
    }
  } catch (const Json::exception& error) {
    throw Error(
        fmt::format("'{}' lacks what a result has ({}); remove it, and the run will be "
                    "trained again.",
                    file.string(), error.what()));
  }
  return record;
}

std::int64_t test_images_of(const fs::path& folder) {
  return read_json(folder / nn::kResultFile).value("/test/images"_json_pointer, std::int64_t{0});
}

bool finished(const fs::path& folder) { return fs::exists(folder / nn::kResultFile); }

bool is_run_file(const fs::path& file) {
  constexpr std::array known{nn::kConfigFile, nn::kMetricsFile, nn::kStepsFile,   nn::kResultFile,
                             nn::kDeviceFile, nn::kModelFile,   nn::kInitialFile, kTogetherFile};
  const std::string name = file.filename().string();
  return name.starts_with(kTemporaryPrefix) ||
         std::find(known.begin(), known.end(), name) != known.end();
}

// result.json goes first, so that a removal that is cut short leaves an unfinished run.
void remove_run(const fs::path& folder) {
  if (!fs::exists(folder)) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (is_run_file(entry.path()) && !entry.is_directory()) continue;
    throw Error(fmt::format(
        "the run folder '{}' has '{}', which no run writes; move it elsewhere or choose another "
        "folder with --out.",
        folder.string(), entry.path().filename().string()));
  }
  fs::remove(folder / nn::kResultFile);
  fs::remove_all(folder);
}

void remove_scratch(const fs::path& scratch) {
  if (!fs::is_directory(scratch)) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(scratch)) {
    if (entry.is_directory() && entry.path().filename().string().starts_with(kSeedPrefix)) {
      remove_run(entry.path());
    }
  }
  remove_run(scratch);
}

nn::Experiment with_seed(nn::Experiment experiment, std::uint64_t seed) {
  experiment.training.seed = seed;
  return experiment;
}

}  // namespace

std::optional<Spread> spread_of(const ReproductionRow& row,
                                std::optional<double> RunRecord::*value) {
  std::vector<double> values;
  for (const RunRecord& run : row.runs) {
    if (!(run.*value)) return std::nullopt;
    values.push_back(*(run.*value));
  }
  if (values.empty()) return std::nullopt;
  return Spread{nn::mean_of(values), nn::sample_deviation(values)};
}

Basis basis_of(const nn::ReportedResults& reported) {
  if (reported.test_accuracy) return Basis::test_accuracy;
  if (reported.accuracy) return Basis::unnamed_accuracy;
  if (reported.val_accuracy) return Basis::val_accuracy;
  return Basis::none;
}

std::optional<double> difference_of(const ReproductionRow& row) {
  const nn::ReportedResults& reported = row.experiment.reported;
  const auto minus = [&row](std::optional<double> RunRecord::*value,
                            const std::optional<double>& expected) -> std::optional<double> {
    const std::optional<Spread> reached = spread_of(row, value);
    if (!reached) return std::nullopt;
    return reached->mean - *expected;
  };
  switch (basis_of(reported)) {
    case Basis::test_accuracy:
      return minus(&RunRecord::test_accuracy, reported.test_accuracy);
    case Basis::unnamed_accuracy:
      return minus(&RunRecord::test_accuracy, reported.accuracy);
    case Basis::val_accuracy:
      return minus(&RunRecord::val_accuracy, reported.val_accuracy);
    case Basis::none:
      break;
  }
  return std::nullopt;
}

Verdict verdict_of(const ReproductionRow& row) {
  if (!row.failure.empty()) return Verdict::failed;
  if (row.runs.empty()) return Verdict::not_run;
  if (row.trial) return Verdict::trial;
  const std::optional<double> difference = difference_of(row);
  if (!difference) return Verdict::no_report;
  constexpr double kRounding = 1e-9;  // 0.877 - 0.887 is a little less than -0.01
  return *difference >= -kTolerance - kRounding ? Verdict::ok : Verdict::below;
}

ReproductionFolder::ReproductionFolder(const fs::path& folder) : path_(folder) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) {
    throw Error(fmt::format("cannot make the folder '{}': {}.", path_.string(), error.message()));
  }
  const fs::path file = path_ / kLockFile;
  lock_ = open_file(file, OpenMode::update);
  if (!lock_) throw file_error("open", file);
  if (!lock_file(lock_)) {
    throw Error(fmt::format(
        "another `vktrain reproduce` is training into '{}'; wait for it, or choose another folder "
        "with --out.",
        path_.string()));
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kTemporaryPrefix) && entry.is_regular_file()) fs::remove(entry.path());
  }
}

fs::path ReproductionFolder::run_folder(const nn::Experiment& run) const {
  return path_ / run.id / fmt::format("{}{}", kSeedPrefix, run.training.seed);
}

fs::path ReproductionFolder::scratch_folder(const nn::Experiment& run) const {
  return path_ / run.id / kScratchFolder;
}

std::optional<RunRecord> ReproductionFolder::find(const nn::Experiment& run,
                                                  std::int64_t test_images) const {
  const fs::path folder = run_folder(run);
  if (!finished(folder)) return std::nullopt;
  const std::optional<nn::Experiment> config = read_config(folder);
  if (!config || essence(*config) != essence(run)) {
    throw Error(fmt::format(
        "the run folder '{}' is of a run with another config than the one asked for; train it "
        "again with --restart, or choose another folder with --out.",
        folder.string()));
  }
  if (test_images_of(folder) != test_images) {
    throw Error(fmt::format(
        "the run folder '{}' was tested on {} images, but the data set has {}; train it again with "
        "--restart, or choose another folder with --out.",
        folder.string(), test_images_of(folder), test_images));
  }
  return read_record(folder);
}

std::vector<RunRecord> ReproductionFolder::find_all(const nn::Experiment& experiment,
                                                    std::int64_t test_images) const {
  std::vector<RunRecord> records;
  const fs::path folder = path_ / experiment.id;
  if (!fs::is_directory(folder)) return records;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kSeedPrefix) || !finished(entry.path())) continue;
    const std::optional<nn::Experiment> config = read_config(entry.path());
    if (!config) continue;
    const nn::Experiment run = with_seed(experiment, config->training.seed);
    if (run_folder(run) != entry.path() || essence(*config) != essence(run)) continue;
    if (test_images_of(entry.path()) != test_images) continue;
    records.push_back(read_record(entry.path()));
  }
  std::sort(records.begin(), records.end(),
            [](const RunRecord& a, const RunRecord& b) { return a.seed < b.seed; });
  return records;
}

void ReproductionFolder::remove(const nn::Experiment& run) const {
  remove_scratch(scratch_folder(run));
  remove_run(run_folder(run));
}

void ReproductionFolder::adopt(std::span<const nn::Experiment> runs) const {
  Json seeds = Json::array();
  for (const nn::Experiment& run : runs) seeds.push_back(run.training.seed);
  for (const nn::Experiment& run : runs) {
    const fs::path target = run_folder(run);
    const fs::path source = scratch_folder(run) / target.filename();
    write_file_atomically(source / kTogetherFile, Json{{"seeds", seeds}}.dump() + "\n");
    fs::rename(source, target);
  }
  remove_scratch(scratch_folder(runs.front()));
}

}  // namespace vktrain::app
