// Reports of `vktrain check` as JSON, for sharing: written and read back. Nothing in them depends
// on the day, but for what the summary and rows tell about times.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nn/check/report.h"
#include "nn/training/run_folder.h"

namespace vktrain::nn {

// The document, which ends with a line end. Devices that could not be checked have a profile with
// the reasons and no rows.
std::string check_json(const ProgramInfo& program, std::uint64_t seed,
                       std::span<const DeviceReport> reports);

// A device of a document. What the profile holds is kept as text, so that devices of other versions
// of the program can be compared.
struct SavedReport {
  std::string device;  // its name
  std::map<std::string, std::string> profile;
  std::vector<CheckRow> rows;
  std::vector<std::pair<std::string, std::vector<double>>> losses;
};

// Throws Error, naming the file and what is wrong, when it is no such document. `subject` is the
// file's name in messages.
std::vector<SavedReport> parse_check_json(const std::string& text, const std::string& subject);
std::vector<SavedReport> read_check_json(const std::filesystem::path& file);

}  // namespace vktrain::nn
