// Runs of catalogue experiments as they lie in a folder, beside what the reports printed. One
// experiment and seed is a normal run folder FOLDER/<id>/seed-<seed>; it counts as finished when it
// has a result.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/experiment/experiment.h"
#include "nn/training/confusion.h"
#include "runtime/file_descriptor.h"

namespace vktrain::app {

// A finished run. Accuracies are fractions, times seconds; what is absent was not measured or is
// not a number (a training that diverged).
struct RunRecord {
  std::uint64_t seed = 0;
  std::int64_t parameter_count = 0;
  std::int64_t trained_together = 1;  // seeds that shared the device in one plan, and its time
  std::string device;                 // "llvmpipe (...), Mesa 22.3.6"
  std::string program;                // "vktrain 0.1.0 (1a2b3c4)"
  std::optional<double> test_accuracy = std::nullopt;
  std::optional<double> val_accuracy = std::nullopt;
  std::optional<double> train_loss = std::nullopt;
  std::optional<double> val_loss = std::nullopt;
  std::optional<double> test_loss = std::nullopt;
  std::optional<double> batch_sigma = std::nullopt;  // of the test batches' accuracies
  std::optional<double> train_seconds = std::nullopt;
  std::optional<double> weights_per_second = std::nullopt;  // the efficiency of report A

  nn::Confusion confusion = {};  // of the test images; of no classes in runs of older programs

  bool operator==(const RunRecord&) const = default;
};

// One line of the report.
struct ReproductionRow {
  nn::Experiment experiment;    // single; the seed means nothing
  bool trial = false;           // changed into another run than the report's
  std::int64_t seeds = 1;       // asked for
  std::vector<RunRecord> runs;  // finished, by seed
  std::string failure;          // why a run failed; empty: none did
};

struct Reproduction {
  std::string command;
  std::string program;               // "vktrain 0.1.0 (1a2b3c4)", of this command
  std::string date;                  // "2023-04-05 06:07 UTC"
  std::vector<std::string> changes;  // "training.epochs=1"
  std::vector<ReproductionRow> rows;
};

struct Spread {
  double mean = 0;
  std::optional<double> deviation;  // sample (n - 1); absent for one run
};

// Of one value over a row's runs; absent when there is no run, or one that lacks the value.
std::optional<Spread> spread_of(const ReproductionRow& row,
                                std::optional<double> RunRecord::*value);

// What a row is judged by: the first of these that the report gives.
enum class Basis { test_accuracy, unnamed_accuracy, val_accuracy, none };
Basis basis_of(const nn::ReportedResults& reported);

enum class Verdict {
  not_run,
  failed,
  trial,      // not the report's run: not judged
  no_report,  // nothing to compare with
  ok,         // not more than kTolerance below the reported accuracy
  below,
};
inline constexpr double kTolerance = 0.01;
Verdict verdict_of(const ReproductionRow& row);

// Reached minus reported accuracy, a fraction; absent when either is.
std::optional<double> difference_of(const ReproductionRow& row);

// The folder, locked against other processes that would train into it while this object lives.
class ReproductionFolder {
 public:
  // Makes the folder if need be and removes temporary files of processes that were killed. Throws
  // Error when it cannot be made or is in use.
  explicit ReproductionFolder(const std::filesystem::path& folder);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path run_folder(const nn::Experiment& run) const;
  // Where several seeds train at once before `adopt` gives each its run folder.
  std::filesystem::path scratch_folder(const nn::Experiment& run) const;

  // The finished run of this single experiment on a data set with so many test images, or nothing
  // when it has to be trained: also where a training was cut short. Throws Error when the folder
  // holds another finished run than this one.
  std::optional<RunRecord> find(const nn::Experiment& run, std::int64_t test_images) const;

  // Every finished run of the experiment, whatever its seed; runs of another config are left out.
  std::vector<RunRecord> find_all(const nn::Experiment& experiment, std::int64_t test_images) const;

  // Removes what is left of the run and of its scratch folder, finished or not. Throws Error when
  // the folder has files that are not a run's; they stay.
  void remove(const nn::Experiment& run) const;

  // Moves the runs from their scratch folder to their own.
  void adopt(std::span<const nn::Experiment> runs) const;

 private:
  std::filesystem::path path_;
  FileDescriptor lock_;
};

}  // namespace vktrain::app
