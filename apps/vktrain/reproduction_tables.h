// Tables in the shape of those that the reports themselves print, reached beside reported.
#pragma once

#include <string>
#include <vector>

#include "apps/vktrain/reproduction_columns.h"

namespace vktrain::app {

struct OwnTable {
  std::string title;
  std::vector<Column> columns;
};

// Of the rows of one report ("a" to "e") that have runs; none without such rows. A: accuracy by
// size, fully connected beside convolutional, and efficiency. B: test accuracy by size, mean and
// sigma over the test batches. C: validation and test accuracy by optimizer and learning rate. D:
// losses, accuracies and minutes after the last epoch. E: validation and test accuracy.
std::vector<OwnTable> own_tables(const std::string& report, const ReportRows& rows);

// The confusion matrices of the runs of report E, the only one that prints such, each with the
// report's behind it where there is one.
std::vector<OwnTable> confusion_tables(const std::string& report, const ReportRows& rows);

}  // namespace vktrain::app
