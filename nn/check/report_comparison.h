// Two reports of `vktrain check`, of two devices or of one with two drivers: where they differ.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "nn/check/report_json.h"

namespace vktrain::nn {

struct ReportDifference {
  std::string what;
  std::string first;  // as the first report has it; "-": it has not
  std::string second;
  bool counts = false;  // the reports cannot both be of devices that work
};

struct ReportComparison {
  std::vector<ReportDifference> differences;

  std::size_t count() const;  // of the differences that count
};

// Devices are paired by name and driver, those left by driver, and the last one left in both
// reports, whatever it is. Differences: program, seed and the profile's values; rows that only one
// report has (counts); results (counts where one passes what the other one fails); errors of more
// than twice the other's, where one is at least half a ULP; losses (counts where those of the last
// step are more than 1e-3 relative apart). What is skipped on one device and not on the other does
// not count.
ReportComparison compare_reports(const SavedCheck& first, const SavedCheck& second);

}  // namespace vktrain::nn
