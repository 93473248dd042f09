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

// A document. All of it is text, too, but for its devices.
struct SavedCheck {
  std::map<std::string, std::string> program;  // "name", "version", "commit"
  std::string seed;
  std::vector<SavedReport> devices;
};

// Throws Error, naming the file and what is wrong, when it is no such document. `subject` is the
// file's name in messages.
SavedCheck parse_check_json(const std::string& text, const std::string& subject);
SavedCheck read_check_json(const std::filesystem::path& file);

}  // namespace vktrain::nn
