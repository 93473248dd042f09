#include "nn/check/report.h"

#include <algorithm>

namespace vktrain::nn {

std::string_view to_string(CheckResult result) {
  switch (result) {
    case CheckResult::pass:
      return "pass";
    case CheckResult::fail:
      return "FAIL";
    case CheckResult::skipped:
      break;
  }
  return "skipped";
}

std::string_view lower_case(CheckResult result) {
  return result == CheckResult::fail ? "fail" : to_string(result);
}

std::string CheckRow::name() const {
  return group + ": " + operation + (variant.empty() ? "" : ", " + variant);
}

std::size_t DeviceReport::count(CheckResult result) const {
  return static_cast<std::size_t>(std::ranges::count(rows, result, &CheckRow::result));
}

}  // namespace vktrain::nn
