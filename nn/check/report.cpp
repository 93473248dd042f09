#include "nn/check/report.h"

#include <algorithm>
#include <exception>

namespace vktrain::nn {

std::string_view to_string(CheckResult result) {
  switch (result) {
    case CheckResult::not_run:
      return "not run";
    case CheckResult::pass:
      return "pass";
    case CheckResult::fail:
      return "FAIL";
    case CheckResult::skipped:
      return "skipped";
    case CheckResult::info:
      break;
  }
  return "info";
}

std::string_view lower_case(CheckResult result) {
  return result == CheckResult::fail ? "fail" : to_string(result);
}

std::string CheckRow::name() const {
  return group + ": " + operation + (variant.empty() ? "" : ", " + variant);
}

CheckRow row_of(std::string group, std::string operation) {
  CheckRow row;
  row.group = std::move(group);
  row.operation = std::move(operation);
  row.cases = 1;
  return row;
}

void fail(CheckRow& row, std::string why) {
  if (row.result != CheckResult::fail) row.why = std::move(why);
  row.result = CheckResult::fail;
}

void run_row(CheckRow& row, const std::function<void()>& work) {
  try {
    work();
    if (row.result == CheckResult::not_run) row.result = CheckResult::pass;
  } catch (const std::exception& error) {
    fail(row, error.what());
  }
}

std::size_t DeviceReport::count(CheckResult result) const {
  return static_cast<std::size_t>(std::ranges::count(rows, result, &CheckRow::result));
}

}  // namespace vktrain::nn
