// Under a locale with a decimal comma and grouped digits every file and every text is what it is
// under the C locale, and is read as there.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>
#include <sstream>

#include "apps/vktrain/bench_output.h"
#include "apps/vktrain/experiments.h"
#include "apps/vktrain/reproduction_report.h"
#include "nn/check/report_json.h"
#include "nn/experiment/experiment_toml.h"
#include "nn/io/safetensors.h"
#include "nn/training/run_json.h"
#include "runtime/profile_trace.h"
#include "tests/apps/command_fixture.h"
#include "tests/support/german_locale.h"
#include "tests/support/system.h"

namespace vktrain::testing {
namespace {

namespace fs = std::filesystem;
using Texts = std::map<std::string, std::string>;

constexpr double kNumber = 1234.5;

// What `make` returns under each of the locales.
template <class F>
auto in_both(F make) {
  auto plain = make();
  const GermanLocale german;
  EXPECT_TRUE(german.available());
  return std::pair(std::move(plain), make());
}

class Locale : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    const GermanLocale german;
    if (!german.available()) GTEST_SKIP() << "de_DE.UTF-8 cannot be made: see the package locales";
    std::ostringstream stream;
    stream << kNumber;
    ASSERT_EQ(stream.str(), "1.234,5");
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%.1f", kNumber);
    ASSERT_STREQ(text.data(), "1234,5");
  }
};

Texts texts_of_a_run() {
  nn::Experiment experiment;
  experiment.id = "numbers";
  experiment.data.mean = 0.2859;
  experiment.model.layers = {{.type = nn::LayerType::linear, .out = 12345}};
  nn::EpochMetrics metrics;
  metrics.epoch = 12345;
  metrics.train_loss = kNumber;
  metrics.seconds = 0.5;
  nn::RunResult result;
  result.last = metrics;
  result.parameter_count = 1234567;
  runtime::DeviceProfile device;
  device.timestamp_period = 1.5F;
  return {{"config", nn::to_toml(experiment)},
          {"metrics", nn::to_json_line(metrics)},
          {"step", nn::to_json_line(nn::StepRecord{12345, kNumber, 0.25})},
          {"result", nn::result_json(experiment, result)},
          {"device", nn::device_json(device, {"1.2.3", ""})}};
}

Texts texts_of_reports() {
  app::Reproduction reproduction;
  app::ReproductionRow row;
  row.experiment = app::built_in_experiments().find("a-fcn-100k");
  row.seeds = 1;
  app::RunRecord run;
  run.parameter_count = 1234567;
  run.test_accuracy = 0.875;
  run.train_loss = kNumber;
  run.train_seconds = 3.25;
  row.runs.push_back(run);
  reproduction.rows.push_back(row);
  const app::BenchRow bench = {{"time", "ms", kNumber}, {"runs", "runs", std::int64_t{12345}}};
  const auto rows = [&](app::BenchFormat format) { return app::format_rows({&bench, 1}, format); };
  nn::DeviceReport check;
  check.rows.push_back({.group = "operation", .operation = "add", .variant = "", .cases = 12345});
  runtime::ProfileTrace trace;
  return {{"report.md", app::report_markdown(reproduction)},
          {"report.csv", app::report_csv(reproduction)},
          {"report.json", app::report_json(reproduction)},
          {"table", app::report_table(reproduction)},
          {"bench.csv", rows(app::BenchFormat::csv)},
          {"bench.md", rows(app::BenchFormat::md)},
          {"bench.json", rows(app::BenchFormat::json)},
          {"bench table", rows(app::BenchFormat::table)},
          {"check.json", nn::check_json({}, 1, {&check, 1})},
          {"trace.json", runtime::trace_json(trace, "a device")}};
}

TEST_F(Locale, WhatIsWrittenIsTheSame) {
  const auto [run, german_run] = in_both(texts_of_a_run);
  EXPECT_EQ(run, german_run);
  EXPECT_NE(run.at("metrics").find("1234.5"), std::string::npos) << run.at("metrics");
  const auto [reports, german_reports] = in_both(texts_of_reports);
  EXPECT_EQ(reports, german_reports);
}

TEST_F(Locale, WhatIsReadIsTheSame) {
  const auto [config, german_config] = in_both(
      [] { return nn::to_toml(nn::parse_experiment(read_text("tiny.toml"), "tiny.toml")); });
  EXPECT_EQ(config, german_config);
  EXPECT_NE(config.find("0.25"), std::string::npos) << config;
  const auto [json, german_json] =
      in_both([] { return nlohmann::json::parse("[1234.5, 1e-7]").get<std::vector<double>>(); });
  EXPECT_EQ(json, german_json);
  nn::write_safetensors(
      "file.safetensors",
      {{nn::make_f32_tensor("large", {1234}, std::vector<float>(1234, 0.5F))}, {}});
  const auto [shape, german_shape] =
      in_both([] { return nn::read_safetensors("file.safetensors").tensors.at(0).shape; });
  EXPECT_EQ(shape, german_shape);
}

TEST_F(Locale, CommandsSayTheSame) {
  const std::vector<std::vector<std::string>> commands = {
      {"experiments"},
      {"experiments", "d-fcn-base-sgd-lr0.02"},
      {"data", "status", "--data", "data"},
      {"train", "a-fcn-100k", "--set", "optimizer.learning_rate=0.0.5"}};
  for (const auto& command : commands) {
    const auto [plain, german] = in_both([&] { return run_command(command); });
    EXPECT_EQ(plain.code, german.code) << command[0];
    EXPECT_EQ(plain.out, german.out);
    EXPECT_EQ(plain.err, german.err);
  }
}

// The program does not ask for the user's locale, so that LC_ALL changes nothing. In this process
// it would change what CLI11 makes of an option such as --min-time.
TEST_F(Locale, AProcessOfItsOwnSaysTheSame) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"experiments", "d-fcn-base-sgd-lr0.02"},
                                             {"bench", "gemm", "--help"},
                                             {"bench", "gemm", "--min-time", "-0.25"}}) {
    const auto [plain, german] = in_both([&] {
      Process process(VKTRAIN_PROGRAM, command, "output");
      EXPECT_TRUE(process.started());
      process.wait();
      return read_text("output");
    });
    EXPECT_NE(plain.find("0."), std::string::npos) << plain;
    EXPECT_EQ(plain, german);
  }
}

TEST_F(Locale, ATrainingWritesTheSameFiles) {
  const auto train = [this](const std::string& folder) {
    compute_well({"train", "tiny.toml", "--run-dir", folder, "--log-every", "1", "--set",
                  "optimizer.learning_rate=0.0125"});
  };
  train("plain");
  {
    const GermanLocale german;
    train("german");
  }
  for (const char* file : {"config.toml", "steps.jsonl", "device.json", "model.safetensors"}) {
    EXPECT_EQ(read_text(fs::path("plain") / file), read_text(fs::path("german") / file)) << file;
  }
  EXPECT_EQ(untimed_metrics("plain"), untimed_metrics("german"));
  EXPECT_EQ(read_json("plain/result.json").at("test_accuracy"),
            read_json("german/result.json").at("test_accuracy"));
  const GermanLocale german;
  const CommandResult evaluated = compute_well({"evaluate", "plain", "--json"});
  EXPECT_TRUE(nlohmann::json::accept(evaluated.out)) << evaluated.out;
}

}  // namespace
}  // namespace vktrain::testing
