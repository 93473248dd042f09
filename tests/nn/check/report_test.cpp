// Reports as JSON and back, and what two of them differ in.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

#include "nn/check/conformance.h"
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
  gemm.result = CheckResult::pass;
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

SavedCheck saved(const DeviceReport& report) {
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
  const std::vector<SavedReport> back = saved(report).devices;
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
  std::vector<std::string> counting;
  for (const ReportDifference& d : comparison.differences) {
    if (d.counts) counting.push_back(d.what);
  }
  // What is skipped on one device only, or less exact, does not count.
  EXPECT_EQ(counting, (std::vector<std::string>{"operation: add", "operation: bias add",
                                                "losses: short, 0.2 relative"}));
  EXPECT_EQ(comparison.count(), 3u);
}

TEST(CheckReport, AFailureThatTheOtherPassesCounts) {
  DeviceReport other = example();
  other.rows[1].result = CheckResult::pass;
  other.rows[1].error->ulp = 0.5;
  EXPECT_EQ(compare_reports(saved(example()), saved(other)).count(), 1u);
  EXPECT_EQ(compare_reports(saved(other), saved(example())).count(), 1u);
  EXPECT_EQ(compare_reports(saved(example()), saved(example())).count(), 0u);
}

TEST(CheckReport, OnlyFinalLossesFurtherApartThanAThousandthCount) {
  const auto count = [](std::vector<double> losses) {
    DeviceReport other = example();
    other.losses[0].second = std::move(losses);
    return compare_reports(saved(example()), saved(other)).count();
  };
  EXPECT_EQ(count({3.5, 1.0009 / 3}), 0u);
  EXPECT_EQ(count({2.5, 1.0011 / 3}), 1u);
  EXPECT_EQ(count({2.5, 1.0 / 3, 1.0 / 3}), 1u);
  EXPECT_EQ(count({2.5, std::numeric_limits<double>::quiet_NaN()}), 1u);
  EXPECT_EQ(count({}), 1u);
}

TEST(CheckReport, DevicesArePairedByNameAndDriver) {
  std::vector<DeviceReport> first(3, example());
  for (std::size_t i = 0; i < 3; ++i) first[i].profile.name = fmt::format("device {}", i);
  first[1].profile.driver_name = "one driver";
  first[2].profile.driver_name = "another driver";
  std::vector<DeviceReport> second = {first[2], first[0], first[1]};
  const auto compare = [&] {
    return compare_reports(parse_check_json(check_json({}, 1, first), "a.json"),
                           parse_check_json(check_json({}, 1, second), "b.json"));
  };
  EXPECT_TRUE(compare().differences.empty());
  // The same driver in another version names its device anew.
  second[2].profile.name = "device 1, new";
  ASSERT_EQ(compare().differences.size(), 1u);
  EXPECT_EQ(compare().differences[0].what, "device: name");
  EXPECT_EQ(compare().count(), 0u);
  second.pop_back();
  ASSERT_EQ(compare().differences.size(), 1u);
  EXPECT_EQ(compare().differences[0].first, "device 1");
  EXPECT_EQ(compare().differences[0].second, "-");
  EXPECT_EQ(compare().count(), 1u);
}

TEST(CheckReport, TheLastDevicesLeftAreComparedWhateverTheyAre) {
  DeviceReport other = example();
  other.profile.name = "a GPU";
  other.profile.driver_name = "a driver for it";
  const ReportComparison comparison = compare_reports(saved(example()), saved(other));
  ASSERT_EQ(comparison.differences.size(), 2u);
  EXPECT_EQ(comparison.differences[1].second, "a GPU");
  EXPECT_EQ(comparison.count(), 0u);
}

TEST(CheckReport, ProgramAndSeedAreCompared) {
  const DeviceReport report = example();
  const auto made_by = [&](const char* version, const char* commit, std::uint64_t seed) {
    return parse_check_json(check_json({.version = version, .commit = commit}, seed, {&report, 1}),
                            "x.json");
  };
  const ReportComparison comparison =
      compare_reports(made_by("1.0", "abc", 1), made_by("1.1", "def", 2));
  std::vector<std::string> whats;
  for (const ReportDifference& d : comparison.differences) whats.push_back(d.what);
  EXPECT_EQ(whats, (std::vector<std::string>{"program: commit", "program: version", "seed"}));
  EXPECT_EQ(comparison.differences[2].second, "2");
  EXPECT_EQ(comparison.count(), 0u);
}

TEST(CheckReport, InfoNeitherPassesNorFails) {
  DeviceReport report = example();
  report.rows[2].result = CheckResult::info;
  EXPECT_EQ(report.count(CheckResult::pass), 1u);
  const std::string json = check_json({}, 1, {&report, 1});
  EXPECT_NE(json.find("\"info\": 1"), std::string::npos) << json;
  EXPECT_EQ(parse_check_json(json, "x.json").devices[0].rows[2].result, CheckResult::info);
}

TEST(CheckReport, ARowPassesWhenItsWorkDidNotFail) {
  CheckRow row = row_of("device", "memory");
  EXPECT_EQ(row.result, CheckResult::not_run);
  run_row(row, [] {});
  EXPECT_EQ(row.result, CheckResult::pass);
  run_row(row, [] { throw Error("no memory"); });
  EXPECT_EQ(row.result, CheckResult::fail);
  EXPECT_EQ(row.why, "no memory");
  fail(row, "later");
  EXPECT_EQ(row.why, "no memory");
}

TEST(CheckEach, ADeviceThatDoesNotOpenFailsAndTheOthersAreChecked) {
  std::vector<runtime::DeviceProfile> devices(3);
  for (std::uint32_t i = 0; i < 3; ++i) devices[i].index = i;
  devices[1].refused = {"too old"};
  const auto check = [](const runtime::DeviceProfile& profile) {
    if (profile.index == 0) throw DeviceError("it does not open");
    DeviceReport report = example();
    report.profile = profile;
    return report;
  };
  const std::vector<DeviceReport> reports = check_each(devices, check);
  ASSERT_EQ(reports.size(), 3u);
  ASSERT_EQ(reports[0].rows.size(), 1u);
  EXPECT_EQ(reports[0].rows[0].name(), "device: open");
  EXPECT_EQ(reports[0].rows[0].result, CheckResult::fail);
  EXPECT_EQ(reports[0].rows[0].why, "it does not open");
  EXPECT_TRUE(reports[1].rows.empty());
  EXPECT_EQ(reports[2].rows.size(), 3u);
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(reports[i].profile.index, i);
}

}  // namespace
}  // namespace vktrain::nn
