// Groups, sorts and prints dispatch timings.
#include "runtime/profile_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

namespace vktrain::runtime {
namespace {

struct Row {
  std::string name;
  std::uint64_t calls = 0;
  double seconds = 0;
  double flops = 0;
  double bytes = 0;

  void add(const DispatchTiming& timing) {
    calls += timing.calls;
    seconds += timing.seconds;
    flops += timing.flops;
    bytes += timing.bytes;
  }
};

// "-" where there is nothing to show: no work declared, or faster than the clock ticks.
std::string rate(double work, double seconds) {
  return work > 0 && seconds > 0 ? fmt::format("{:.2f}", work / seconds * 1e-9) : "-";
}

std::string format_row(const Row& row, std::size_t name_width, double total_seconds) {
  const double share = total_seconds > 0 ? 100 * row.seconds / total_seconds : 0;
  return fmt::format("{:<{}}  {:>9}  {:>11.3f}  {:>5.1f}%  {:>9}  {:>9}\n", row.name, name_width,
                     row.calls, row.seconds * 1e3, share, rate(row.flops, row.seconds),
                     rate(row.bytes, row.seconds));
}

}  // namespace

std::string profile_report(std::span<const DispatchTiming> timings, ProfileGroup group) {
  if (timings.empty()) return {};
  std::map<std::string, Row> groups;
  Row total;
  total.name = "total";
  for (const DispatchTiming& timing : timings) {
    const std::string& name = group == ProfileGroup::kernel ? timing.kernel : timing.label;
    Row& row = groups[name];
    row.name = name;
    row.add(timing);
    total.add(timing);
  }
  std::vector<Row> rows;
  for (auto& [name, row] : groups) rows.push_back(std::move(row));
  std::ranges::stable_sort(rows, std::ranges::greater{}, &Row::seconds);

  const std::string_view heading = group == ProfileGroup::kernel ? "kernel" : "dispatch";
  std::size_t width = heading.size();
  for (const Row& row : rows) width = std::max(width, row.name.size());
  std::string table = fmt::format("{:<{}}  {:>9}  {:>11}  {:>6}  {:>9}  {:>9}\n", heading, width,
                                  "calls", "time [ms]", "share", "GFLOP/s", "GB/s");
  for (const Row& row : rows) table += format_row(row, width, total.seconds);
  return table + format_row(total, width, total.seconds);
}

}  // namespace vktrain::runtime
