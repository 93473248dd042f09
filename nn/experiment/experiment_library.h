// Named experiments from family files: shared [defaults] and one [run."id"] table per run that
// says only what differs. docs/experiments.md describes the format.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/experiment/experiment.h"
#include "runtime/embedded_file.h"

namespace vktrain::nn {

class ExperimentLibrary {
 public:
  // Parses and checks every run of every file. Throws UsageError that names the file and line.
  explicit ExperimentLibrary(std::span<const EmbeddedFile> family_files);

  // Ids in the order of the files and of the runs in them.
  const std::vector<std::string>& ids() const { return ids_; }

  // Throws UsageError with the nearest known id.
  const Experiment& find(std::string_view id) const;
  bool contains(std::string_view id) const;

  // The experiments that a pattern names ('*' any text, '?' any character), each once, in the order
  // of `ids`. Throws UsageError for a pattern that names none.
  std::vector<const Experiment*> match(std::span<const std::string> patterns) const;

  // "quick" (minutes on two CPU cores); of the runs that are from a report "fcn", "cnn", "all", and
  // "report-a" to "report-e", those of one report. Throws UsageError for another name.
  std::vector<const Experiment*> suite(std::string_view name) const;
  std::vector<std::string> suites() const;  // their names

 private:
  std::vector<std::string> ids_;
  std::map<std::string, Experiment, std::less<>> experiments_;
};

}  // namespace vktrain::nn
