// `vktrain check`: exit codes, the report as table and JSON, --compare, and errors.
#include <fmt/format.h>

#include "nn/check/report_json.h"
#include "runtime/atomic_file.h"
#include "tests/apps/command_fixture.h"
#include "tests/support/scoped_variable.h"

namespace vktrain::testing {
namespace {

class Check : public CommandTest {
 protected:
  static CommandResult check(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "check");
    arguments.insert(arguments.end(), {"--device", test_device()});
    return run_command(arguments);
  }

  static nn::DeviceReport report_with(nn::CheckResult result) {
    nn::DeviceReport report;
    report.profile.name = "a device";
    report.rows.push_back({.group = "operation", .operation = "add", .variant = "", .cases = 1});
    report.rows[0].result = result;
    return report;
  }
  static void write(const std::string& file, const nn::DeviceReport& report) {
    write_file_atomically(file, nn::check_json({}, 1, {&report, 1}));
  }
};

TEST_F(Check, ReportIsATableThatEndsWithASum) {
  const CommandResult result = check({"--filter", "confusion matrix", "--validate"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("confusion matrix"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("\n2 rows: 2 passed, 0 failed, 0 skipped; "), std::string::npos)
      << result.out;
  EXPECT_TRUE(result.out.ends_with(" s\n")) << result.out;
  EXPECT_EQ(result.out.find("gemm"), std::string::npos);
}

TEST_F(Check, JsonIsWrittenAndComparedWithItself) {
  const CommandResult result =
      check({"--filter", "concat", "--format", "json", "--output", "a.json", "--seed", "7"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  const auto json = read_json("a.json");
  EXPECT_EQ(json["schema"], "vktrain-check-1");
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["devices"][0]["summary"]["failed"], 0);
  EXPECT_EQ(json["devices"][0]["rows"][0]["operation"], "concat");
  const CommandResult same = run_command({"check", "--compare", "a.json", "a.json"});
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(same.out, "The reports do not differ.\n");
}

TEST_F(Check, ListShowsEveryRowWithoutRunningIt) {
  const CommandResult result = check({"--list"});
  EXPECT_EQ(result.code, 0) << result.err;
  for (const char* row : {"gemm nt", "conv2d weight gradient", "adamw", "convolutional, 30 steps",
                          "long dispatch", "texel buffers"}) {
    EXPECT_NE(result.out.find(row), std::string::npos) << row;
  }
}

TEST_F(Check, AllDevicesAreCheckedInTurn) {
  test_device();
  const CommandResult result =
      run_command({"check", "--device", "all", "--filter", "channels last", "--format", "json"});
  EXPECT_EQ(result.code, 0) << result.err;
  const auto devices = nlohmann::json::parse(result.out)["devices"];
  const auto listed = nlohmann::json::parse(run_command({"devices", "--json"}).out);
  ASSERT_EQ(devices.size(), listed.size());
  for (std::size_t i = 0; i < listed.size(); ++i) {
    EXPECT_EQ(devices[i]["device"]["name"], listed[i]["name"]);
    EXPECT_EQ(devices[i]["rows"].empty(), !listed[i]["usable"].get<bool>());
  }
}

TEST_F(Check, ComparisonFailsWhereOneReportDoes) {
  write("good.json", report_with(nn::CheckResult::pass));
  write("bad.json", report_with(nn::CheckResult::fail));
  const CommandResult result = run_command({"check", "--compare", "good.json", "bad.json"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.out.find("operation: add  pass   FAIL"), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("1 of the differences counts, the first: operation: add: pass in "
                            "'good.json', FAIL in 'bad.json'"),
            std::string::npos)
      << result.err;
  EXPECT_EQ(run_command({"check", "--compare", "bad.json", "bad.json"}).code, 0);
}

TEST_F(Check, ComparisonFailsWhereARowIsMissing) {
  write("all.json", report_with(nn::CheckResult::pass));
  nn::DeviceReport more = report_with(nn::CheckResult::pass);
  more.rows.push_back(nn::row_of("operation", "concat"));
  more.rows[1].result = nn::CheckResult::pass;
  write("more.json", more);
  for (const auto& [a, b] : {std::pair("all.json", "more.json"), {"more.json", "all.json"}}) {
    const CommandResult result = run_command({"check", "--compare", a, b});
    EXPECT_EQ(result.code, 1);
    EXPECT_NE(result.err.find("the first: operation: concat: "), std::string::npos) << result.err;
  }
}

TEST_F(Check, ComparisonTakesNoOtherOption) {
  // An option is refused; the variable of the same meaning is not, whatever the tests run under.
  const ScopedVariable variable("VKTRAIN_LIMITS", "none");
  write("a.json", report_with(nn::CheckResult::pass));
  const std::vector<std::vector<std::string>> options = {
      {"--device", "0"},   {"--limits", "minimum"}, {"--format", "table"},
      {"--filter", "add"}, {"--seed", "1"},         {"--list"},
      {"--validate"},      {"--output", "b.json"},  {"--jobs", "1"},
      {"--all-kernels"},
  };
  for (const std::vector<std::string>& option : options) {
    std::vector<std::string> arguments = {"check", "--compare", "a.json", "a.json"};
    arguments.insert(arguments.end(), option.begin(), option.end());
    expect_failure(run_command(arguments), 2, {"--compare only reads", "leave out " + option[0]});
  }
}

TEST_F(Check, BadInputEndsInOneSentence) {
  expect_failure(check({"--format", "xml"}), 2, {"--format", "xml"});
  expect_failure(check({"--filter", "no such row"}), 2, {"--filter 'no such row'", "--list"});
  expect_failure(check({"--compare", "a.json"}), 2, {"--compare"});
  expect_failure(check({"--list", "--format", "json"}), 2, {"--list", "--format json"});
  expect_failure(run_command({"check", "--compare", "a.json", "b.json"}), 1, {"a.json"});
  write_file_atomically("a.json", "{}");
  expect_failure(run_command({"check", "--compare", "a.json", "a.json"}), 1,
                 {"'a.json' is no report"});
  expect_failure(check({"--output", "none/a.json"}), 1, {"none"});
  expect_failure(run_command({"check", "--device", "no such device"}), 2, {"no such device"});
}

}  // namespace
}  // namespace vktrain::testing
