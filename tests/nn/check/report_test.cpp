// Reports as JSON and back, and what two of them differ in.
#include <gtest/gtest.h>

#include <limits>

#include "nn/check/report_comparison.h"
#include "nn/check/report_json.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

DeviceReport example() {
  DeviceReport report;
  report.profile.name = "a \"device\"";
  report.profile.driver_info = "1.0";
  report.profile.max_shared_memory = 32768;
  CheckRow gemm = {.group = "operation", .operation = "gemm nt", .variant = "tiled", .cases = 7};
  gemm.error = CheckError{.ulp = 1.25, .limit_ulp = 4, .relative = 3e-7};
  CheckRow add = {.group = "operation", .operation = "add", .variant = "", .cases = 3};
  add.error = CheckError{.ulp = std::numeric_limits<double>::infinity(), .limit_ulp = 0.5};
  add.result = CheckResult::fail;
  add.why = "element 3";
  CheckRow other = {.group = "operation", .operation = "gemm nt", .variant = "register"};
  other.result = CheckResult::skipped;
  other.why = "for CPU drivers";
  report.rows = {gemm, add, other};
  report.losses = {{"short", {2.5, 1.0 / 3}}};
  return report;
}

std::vector<SavedReport> saved(const DeviceReport& report) {
  return parse_check_json(check_json({}, 1, {&report, 1}), "x.json");
}

std::string parse_error(const std::string& text) {
  try {
    parse_check_json(text, "x.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(CheckReport, ComesBackFromJson) {
  const DeviceReport report = example();
  const std::vector<SavedReport> back = saved(report);
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].device, report.profile.name);
  EXPECT_EQ(back[0].profile.at("driver_info"), "1.0");
  EXPECT_EQ(back[0].profile.at("max_shared_memory"), "32768");
  ASSERT_EQ(back[0].rows.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(back[0].rows[i], report.rows[i]) << i;
  EXPECT_EQ(back[0].losses, report.losses);
}

TEST(CheckReport, BadJsonIsOneClearError) {
  for (const std::string text :
       {"", "{", "[]", "3", "{\"schema\": \"other\"}", "{\"schema\": \"vktrain-check-1\"}",
        "{\"schema\": \"vktrain-check-1\", \"devices\": [{\"rows\": []}]}",
        "{\"schema\": \"vktrain-check-1\", \"devices\": [{\"device\": {\"name\": 3}, \"rows\": [], "
        "\"losses\": {}}]}"}) {
    EXPECT_TRUE(parse_error(text).starts_with("'x.json' is no report of vktrain check (")) << text;
  }
  const DeviceReport report = example();
  std::string text = check_json({}, 1, {&report, 1});
  EXPECT_EQ(parse_error(text), "");
  text.replace(text.find("\"skipped\",\n"), 9, "\"perhaps\"");
  EXPECT_NE(parse_error(text).find("\"perhaps\""), std::string::npos) << parse_error(text);
}

TEST(CheckReport, EqualReportsDoNotDiffer) {
  DeviceReport other = example();
  other.profile.index = 3;
  other.rows[0].error->ulp = 2.4;
  other.rows[0].why = "another time";
  const ReportComparison comparison = compare_reports(saved(example()), saved(other));
  EXPECT_TRUE(comparison.differences.empty()) << comparison.differences[0].what;
  EXPECT_FALSE(comparison.one_fails);
}

TEST(CheckReport, DifferencesAreTold) {
  DeviceReport other = example();
  other.profile.max_shared_memory = 16384;
  other.rows[0].error->ulp = 2.6;
  other.rows[2].result = CheckResult::pass;
  other.rows[1].operation = "bias add";
  other.losses[0].second[1] = 0.4;
  const ReportComparison comparison = compare_reports(saved(example()), saved(other));
  std::vector<std::string> whats;
  for (const ReportDifference& d : comparison.differences) whats.push_back(d.what);
  EXPECT_EQ(whats,
            (std::vector<std::string>{"device: max_shared_memory", "operation: gemm nt, tiled",
                                      "operation: add", "operation: gemm nt, register",
                                      "operation: bias add", "losses: short, 0.2 relative"}));
  EXPECT_EQ(comparison.differences[0].first, "32768");
  EXPECT_EQ(comparison.differences[1].second, "2.6 ULP");
  EXPECT_EQ(comparison.differences[2].second, "-");
  EXPECT_FALSE(comparison.one_fails);
}

TEST(CheckReport, AFailureThatTheOtherPassesCounts) {
  DeviceReport other = example();
  other.rows[1].result = CheckResult::pass;
  other.rows[1].error->ulp = 0.5;
  EXPECT_TRUE(compare_reports(saved(example()), saved(other)).one_fails);
  EXPECT_TRUE(compare_reports(saved(other), saved(example())).one_fails);
  EXPECT_FALSE(compare_reports(saved(example()), saved(example())).one_fails);
}

}  // namespace
}  // namespace vktrain::nn
