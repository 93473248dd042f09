// A reproduction as text: reached beside reported. Pure functions; the same results give the same
// text.
#pragma once

#include <string>

#include "apps/vktrain/reproduction.h"

namespace vktrain::app {

// For a terminal of 120 columns: per report a table of accuracies, one of times and losses,
// footnotes, and the tables in the shape of the report's own.
std::string report_table(const Reproduction& reproduction);

// The same with one table per report in place of the first two, every assumption and note in full,
// and confusion matrices.
std::string report_markdown(const Reproduction& reproduction);

// A line per experiment; accuracies are fractions, times seconds, absent values empty (RFC 4180,
// but lines end with \n).
std::string report_csv(const Reproduction& reproduction);

// Everything, with every single run; absent values are null.
std::string report_json(const Reproduction& reproduction);

// "ok", "below", "trial", "-", "not run", "fail".
std::string name_of(Verdict verdict);

// The devices that the runs trained on, with the number of runs of each where they differ.
std::vector<std::string> devices_of(const Reproduction& reproduction);

}  // namespace vktrain::app
