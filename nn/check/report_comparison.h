// Two reports of `vktrain check`, of two devices or of one with two drivers: where they differ.
#pragma once

#include <string>
#include <vector>

#include "nn/check/report_json.h"

namespace vktrain::nn {

struct ReportDifference {
  std::string what;
  std::string first;  // as the first report has it; "-": it has not
  std::string second;
};

struct ReportComparison {
  std::vector<ReportDifference> differences;
  // One device passes what the other one fails.
  bool one_fails = false;
};

// Devices are paired in their order. Differences: the profile's values; rows that only one has;
// results; errors of more than twice the other's, where one is at least half a ULP; losses. What is
// skipped on one device and not on the other is a difference, but no failure.
ReportComparison compare_reports(const std::vector<SavedReport>& first,
                                 const std::vector<SavedReport>& second);

}  // namespace vktrain::nn
