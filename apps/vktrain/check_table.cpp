#include "apps/vktrain/check_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <vector>

#include "apps/vktrain/text.h"

namespace vktrain::app {
namespace {

std::string notes_of(const nn::CheckRow& row) {
  return row.result == nn::CheckResult::fail ? "see below" : row.why;
}

std::string rounded(double value) { return fmt::format("{:.3g}", value); }

// Kernels that are left out, most of them for other devices, are many; their rows are summed up.
bool is_skipped_variant(const nn::CheckRow& row) {
  return row.result == nn::CheckResult::skipped && !row.variant.empty();
}

std::string skipped_variants_text(const nn::DeviceReport& report) {
  std::map<std::string, std::map<std::string, int>> counts;  // by reason and operation
  for (const nn::CheckRow& row : report.rows) {
    if (is_skipped_variant(row)) ++counts[row.why][row.operation];
  }
  std::string text;
  for (const auto& [why, operations] : counts) {
    std::vector<std::string> parts;
    for (const auto& [operation, count] : operations) {
      parts.push_back(fmt::format("{} of {}", count, operation));
    }
    text += fmt::format("skipped variants, {}: {}\n", why, fmt::join(parts, ", "));
  }
  return text;
}

std::string rows_text(const nn::DeviceReport& report) {
  TextTable table({{"part"},
                   {"operation"},
                   {"variant"},
                   {"cases", Align::right},
                   {"worst ULP", Align::right},
                   {"limit", Align::right},
                   {"relative", Align::right},
                   {"result"},
                   {""}});
  for (const nn::CheckRow& row : report.rows) {
    if (is_skipped_variant(row)) continue;
    table.add_row({row.group, row.operation, row.variant.empty() ? "-" : row.variant,
                   std::to_string(row.cases), row.error ? rounded(row.error->ulp) : "-",
                   row.error ? rounded(row.error->limit_ulp) : "-",
                   row.error ? rounded(row.error->relative) : "-",
                   std::string(to_string(row.result)), notes_of(row)});
  }
  return table.text();
}

}  // namespace

std::string check_table(const nn::DeviceReport& report) {
  const runtime::DeviceProfile& device = report.profile;
  std::string text =
      fmt::format("{}, {} {}\n", device.name, device.driver_name, device.driver_info);
  if (!device.usable()) {
    return text + fmt::format("skipped: {}\n", fmt::join(device.refused, "; "));
  }
  text += "\n" + rows_text(report) + "\n" + skipped_variants_text(report);
  const std::size_t info = report.count(nn::CheckResult::info);
  text += fmt::format("{} rows: {} passed, {} failed, {} skipped{}; {:.0f} s\n", report.rows.size(),
                      report.count(nn::CheckResult::pass), report.count(nn::CheckResult::fail),
                      report.count(nn::CheckResult::skipped),
                      info == 0 ? "" : fmt::format(", {} info", info), report.seconds);
  for (const nn::CheckRow& row : report.rows) {
    if (row.result == nn::CheckResult::fail)
      text += fmt::format("FAIL {}\n  {}\n", row.name(), row.why);
  }
  return text;
}

std::string check_list(std::span<const nn::CheckRow> rows) {
  TextTable table({{"part"}, {"operation"}, {"variant"}, {"cases", Align::right}, {""}});
  for (const nn::CheckRow& row : rows) {
    table.add_row({row.group, row.operation, row.variant.empty() ? "-" : row.variant,
                   std::to_string(row.cases), row.why});
  }
  return table.text();
}

std::string comparison_table(const nn::ReportComparison& comparison) {
  if (comparison.differences.empty()) return "The reports do not differ.\n";
  TextTable table({{"what"}, {"first"}, {"second"}});
  for (const nn::ReportDifference& difference : comparison.differences) {
    table.add_row({difference.what, difference.first, difference.second});
  }
  return table.text();
}

}  // namespace vktrain::app
