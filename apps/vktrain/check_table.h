// Reports of `vktrain check` as people read them.
#pragma once

#include <span>
#include <string>

#include "nn/check/report.h"
#include "nn/check/report_comparison.h"

namespace vktrain::app {

// The rows, a line that sums them up, and what failed.
std::string check_table(const nn::DeviceReport& report);
std::string check_list(std::span<const nn::CheckRow> rows);
std::string comparison_table(const nn::ReportComparison& comparison);

}  // namespace vktrain::app
