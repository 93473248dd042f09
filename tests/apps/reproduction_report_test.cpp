// The texts of a reproduction, against what they should read.
#include "apps/vktrain/reproduction_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/vktrain/experiments.h"

namespace vktrain::app {
namespace {

RunRecord record(std::uint64_t seed, double test, double val, double seconds) {
  RunRecord run;
  run.seed = seed;
  run.parameter_count = 45910;
  run.device = "Some GPU, driver 1.2";
  run.program = "vktrain 9.9.9 (abc)";
  run.test_accuracy = test;
  run.val_accuracy = val;
  run.train_loss = 0.25;
  run.val_loss = 0.3;
  run.test_loss = 0.35;
  run.batch_sigma = 0.02;
  run.train_seconds = seconds;
  run.weights_per_second = 45910 / seconds;
  return run;
}

ReproductionRow row(std::string_view id, std::vector<RunRecord> runs) {
  ReproductionRow result;
  result.experiment = built_in_experiments().find(id);
  result.seeds = static_cast<std::int64_t>(std::max<std::size_t>(runs.size(), 1));
  result.runs = std::move(runs);
  return result;
}

Reproduction reproduction(std::vector<ReproductionRow> rows) {
  Reproduction result;
  result.command = "vktrain reproduce 'a-*'";
  result.program = "vktrain 9.9.9 (abc)";
  result.date = "2023-04-05 06:07 UTC";
  result.rows = std::move(rows);
  return result;
}

// The report, from its first line that begins so to the next empty one.
std::string paragraph(const std::string& text, const std::string& start) {
  const std::size_t begin = text.starts_with(start) ? 0 : text.find("\n" + start) + 1;
  return text.substr(begin, text.find("\n\n", begin) - begin);
}

std::size_t columns_of(const std::string& line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

TEST(ReproductionVerdict, TakesOnePointBelowForOk) {
  // Reported: 0.8792.
  EXPECT_EQ(verdict_of(row("a-fcn-50k", {record(0, 0.8692, 0.8, 1)})), Verdict::ok);
  EXPECT_EQ(verdict_of(row("a-fcn-50k", {record(0, 0.8691, 0.8, 1)})), Verdict::below);
  EXPECT_EQ(verdict_of(row("a-fcn-50k", {record(0, 0.95, 0.8, 1)})), Verdict::ok);
  // By the mean of the seeds.
  EXPECT_EQ(verdict_of(row("a-fcn-50k", {record(0, 0.86, 0.8, 1), record(1, 0.88, 0.8, 1)})),
            Verdict::ok);
}

TEST(ReproductionVerdict, SaysWhatItCannotJudge) {
  EXPECT_EQ(verdict_of(row("a-fcn-50k", {})), Verdict::not_run);
  EXPECT_EQ(verdict_of(row("d-fcn-adam-lr0.02", {record(0, 0.5, 0.5, 1)})), Verdict::no_report);
  ReproductionRow trial = row("a-fcn-50k", {record(0, 0.1, 0.1, 1)});
  trial.trial = true;
  EXPECT_EQ(verdict_of(trial), Verdict::trial);
  trial.failure = "the disk is full.";
  EXPECT_EQ(verdict_of(trial), Verdict::failed);
}

TEST(ReproductionVerdict, ComparesTheSetThatTheReportGives) {
  // Only a validation accuracy, 0.877.
  EXPECT_NEAR(*difference_of(row("e-fcn-baseline", {record(0, 0.5, 0.88, 1)})), 0.003, 1e-12);
  // "about 70 %", of a set that is not named.
  const ReproductionRow first_try =
      row("c-fcn-first-try-lr0.001-10-epochs", {record(0, 0.65, 0.9, 1)});
  EXPECT_EQ(basis_of(first_try.experiment.reported), Basis::unnamed_accuracy);
  EXPECT_NEAR(*difference_of(first_try), -0.05, 1e-12);
}

TEST(ReproductionSpread, LacksWhatOneRunLacks) {
  ReproductionRow two = row("a-fcn-50k", {record(0, 0.86, 0.8, 1), record(1, 0.88, 0.8, 3)});
  const std::optional<Spread> test = spread_of(two, &RunRecord::test_accuracy);
  EXPECT_NEAR(test->mean, 0.87, 1e-12);
  EXPECT_NEAR(*test->deviation, 0.02 / std::sqrt(2.0), 1e-12);
  two.runs[1].test_loss.reset();  // diverged
  EXPECT_FALSE(spread_of(two, &RunRecord::test_loss));
  EXPECT_FALSE(spread_of(row("a-fcn-50k", {}), &RunRecord::test_loss));
}

TEST(ReproductionTable, AlignsReachedBesideReported) {
  std::vector<RunRecord> seeds = {record(0, 0.8811, 0.8901, 12.5), record(1, 0.8821, 0.8911, 12.7)};
  for (RunRecord& run : seeds) run.trained_together = 2;
  const std::string text =
      report_table(reproduction({row("a-fcn-100k", {}), row("a-fcn-50k", seeds)}));
  EXPECT_EQ(paragraph(text, "Report A\n"), "Report A");
  // clang-format off
  EXPECT_EQ(paragraph(text, "experiment"),
      "experiment   weights  training          n        test %  report   diff  mark  val %  report\n"
      "a-fcn-100k*   85,614  adam 0.003 ×15  0/1       not run   88.70      -  -         -   89.27\n"
      "a-fcn-50k*    45,910  adam 0.003 ×15    2  88.16 ± 0.07   87.92  +0.24  ok    89.06   89.11")
      << text;
  // clang-format on
  EXPECT_NE(text.find("experiment   weights  train s  report  weights/s  report\n"
                      "a-fcn-100k*   85,614        -   237.7          -     360\n"
                      "a-fcn-50k*    45,910    12.6†   239.2      3,644     192\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("a-fcn-50k: † the time of 2 seeds that trained at once\n"),
            std::string::npos);
  EXPECT_NE(text.find("a-fcn-100k: * assumed: optimizer, batch_size"), std::string::npos);
  EXPECT_NE(text.find("a-fcn-50k: The report contradicts itself"), std::string::npos);
  EXPECT_NE(text.find("\nSome GPU, driver 1.2; vktrain 9.9.9 (abc)\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\n2 experiments: 1 ok, 1 not run\n")) << text;
}

TEST(ReproductionTable, ShowsTheLossesThatTheReportPrints) {
  const std::string text =
      report_table(reproduction({row("d-fcn-sgd-lr0.05", {record(0, 0.8703, 0.88, 10)})}));
  EXPECT_NE(
      text.find(
          "experiment        weights  train s  report  weights/s  train loss  report  val loss"
          "  report  test loss  report\n"
          "d-fcn-sgd-lr0.05  297,710     10.0   858.7      4,591      0.2500  0.2456    0.3000"
          "  0.3369     0.3500  0.3614\n"),
      std::string::npos)
      << text;
}

TEST(ReproductionOwnTables, SizesAndEfficiencyOfReportA) {
  const std::string text = report_table(
      reproduction({row("a-fcn-100k", {record(0, 0.88, 0.89, 10)}),
                    row("a-fcn-50k", {record(0, 0.87, 0.88, 5)}), row("a-fcn-200k", {})}));
  EXPECT_NE(
      text.find("Accuracy by size, FCN beside CNN (Tables 1 and 2)\n\n"
                "weights  FCN test %  report  val %  report  CNN test %  report  val %  report\n"
                "50k           87.00   87.92  88.00   89.11           -       -      -       -\n"
                "100k          88.00   88.70  89.00   89.27           -       -      -       -\n"
                "\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("(Table 3)\n\n"
                      "experiment   weights  train s  report  weights/s  report\n"
                      "a-fcn-100k*   85,614     10.0   237.7      4,591     360\n"
                      "a-fcn-50k*    45,910      5.0   239.2      9,182     192\n"),
            std::string::npos)
      << text;
}

TEST(ReproductionOwnTables, BatchSigmaOfReportB) {
  const std::string text =
      report_table(reproduction({row("b-fcn-50k", {record(0, 0.88, 0.89, 10)})}));
  EXPECT_NE(text.find("(Table 2)\n\n"
                      "experiment  weights        test %        report  train s  report\n"
                      "b-fcn-50k    52,842  88.00 ± 2.00  88.02 ± 1.58     10.0   150.0\n"),
            std::string::npos)
      << text;
}

TEST(ReproductionOwnTables, OptimizerGridOfReportC) {
  const std::string text = report_table(
      reproduction({row("c-fcn-adam-lr0.01", {record(0, 0.88, 0.89, 10)}),
                    row("c-fcn-adam-lr0.001-dropout0.5", {record(0, 0.88, 0.89, 10)})}));
  EXPECT_NE(text.find("optimizer  learning rate  val %  report  test %  report\n"
                      "adam                0.01  89.00   89.35   88.00   87.31\n\n"),
            std::string::npos)
      << text;
}

TEST(ReproductionOwnTables, FinalEpochOfReportD) {
  const std::string text =
      report_table(reproduction({row("d-fcn-sgd-lr0.05", {record(0, 0.87, 0.88, 600)})}));
  EXPECT_NE(
      text.find("experiment        weights   train  report     val  report    test  report\n"
                "d-fcn-sgd-lr0.05  297,710  0.2500  0.2456  0.3000  0.3369  0.3500  0.3614\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("experiment        weights  val %  report  test %  report    min  report\n"
                      "d-fcn-sgd-lr0.05  297,710  88.00   88.01   87.00   87.03  10.00   14.31\n"),
            std::string::npos)
      << text;
}

TEST(ReproductionOwnTables, ConfusionsOfReportE) {
  ReproductionRow final = row("e-fcn-final", {record(0, 0.86, 0.87, 10), record(1, 0.86, 0.87, 9)});
  for (RunRecord& run : final.runs) {
    std::vector<std::int64_t> counts(100, 0);
    for (std::size_t t = 0; t < 10; ++t) counts[11 * t] = 900;
    counts[24] = 100;  // Pullover taken for Coat
    counts[22] = 800;
    run.confusion = nn::Confusion(10, std::move(counts));
  }
  const std::string text = report_markdown(reproduction({final}));
  EXPECT_NE(
      text.find("### Confusion of e-fcn-final, 2 seeds together: most often Pullover taken for "
                "Coat: 200 of 1,800\n\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("| 2 Pullover | 0 | 0 | 1600 | 0 | 200 | 0 | 0 | 0 | 0 | 0 | 88.89 |\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("### Confusion that the report prints for e-fcn-final: most often Pullover "
                      "taken for Coat: 200 of 1,000\n\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(report_table(reproduction({final})).find("Confusion"), std::string::npos);
  const auto json = nlohmann::json::parse(report_json(reproduction({final})));
  EXPECT_EQ(json["experiments"][0]["runs"][1]["confusion"][2][4], 100);
}

TEST(ReproductionTable, FitsATerminalWithEveryExperiment) {
  std::vector<ReproductionRow> rows;
  const nn::ExperimentLibrary library = built_in_experiments();
  for (const std::string& id : library.ids()) {
    rows.push_back(row(id, {record(0, 0.8811, 0.89, 4000), record(1, 0.7821, 0.79, 4000)}));
    rows.back().seeds = 3;
    if (rows.size() % 3 == 1) rows.back().failure = "the disk is full.";
    if (rows.size() % 3 == 2) rows.back().runs.clear();
  }
  std::istringstream text(report_table(reproduction(std::move(rows))));
  for (std::string line; std::getline(text, line);) EXPECT_LE(columns_of(line), 120U) << line;
}

TEST(ReproductionMarkdown, HasHeaderTableAndReasons) {
  Reproduction one = reproduction({row("a-fcn-50k", {record(0, 0.8811, 0.8901, 12.5)})});
  one.rows[0].trial = true;
  one.changes = {"training.epochs=1"};
  const std::string text = report_markdown(one);
  EXPECT_TRUE(
      text.starts_with("# Reached beside reported\n\n"
                       "- command: `vktrain reproduce 'a-*'`\n"
                       "- date: 2023-04-05 06:07 UTC\n"
                       "- written by: vktrain 9.9.9 (abc)\n"
                       "- device: Some GPU, driver 1.2; vktrain 9.9.9 (abc)\n"
                       "- **trial, not the reports' runs: changed by training.epochs=1**\n"
                       "- 1 experiment: 1 trial\n"))
      << text;
  EXPECT_EQ(paragraph(text, "## Report A\n"), "## Report A");
  EXPECT_EQ(
      paragraph(text, "| experiment"),
      "| experiment | weights | training | n | test % | report | diff | mark | val % | report "
      "| train s | report | weights/s | report |\n"
      "|---|---:|---|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|\n"
      "| a-fcn-50k\\* | 45,910 | adam 0.003 ×15 | 1 | 88.11 | 87.92 | +0.19 | trial | 89.01 | "
      "89.11 | 12.5 | 239.2 | 3,673 | 192 |");
  EXPECT_NE(text.find("\n- a-fcn-50k: assumed init: not stated; PyTorch default\n"),
            std::string::npos)
      << text;
}

TEST(ReproductionMarkdown, NamesEveryDeviceWithItsRuns) {
  RunRecord other = record(1, 0.88, 0.88, 10);
  other.device = "a|b";
  const Reproduction mixed =
      reproduction({row("a-fcn-50k", {record(0, 0.88, 0.89, 12), other, record(2, 0.8, 0.8, 1)})});
  const std::string text = report_markdown(mixed);
  EXPECT_NE(text.find("- device: Some GPU, driver 1.2; vktrain 9.9.9 (abc) (2 runs)\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("- device: a\\|b; vktrain 9.9.9 (abc) (1 run)\n"), std::string::npos) << text;
}

TEST(ReproductionCsv, HasALinePerExperiment) {
  ReproductionRow failed = row("a-fcn-100k", {});
  failed.failure = "no \"room\", here.";
  const std::string text = report_csv(reproduction(
      {row("a-fcn-50k", {record(0, 0.875, 0.89, 8), record(1, 0.875, 0.89, 8)}), failed}));
  std::istringstream lines(text);
  std::string titles, first, second, rest;
  std::getline(lines, titles);
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_FALSE(std::getline(lines, rest)) << rest;
  EXPECT_TRUE(
      titles.starts_with("experiment,report,completeness,weights,optimizer,learning_rate,"
                         "epochs,batch_size,seeds_asked_for,seeds,mark,compared,difference,"
                         "test_accuracy,test_accuracy_deviation,reported_test_accuracy,"))
      << titles;
  EXPECT_TRUE(
      first.starts_with("a-fcn-50k,a,assumed-details,45910,adam,0.003,15,512,2,2,ok,"
                        "test_accuracy,-0.0041999"))
      << first;
  EXPECT_NE(first.find(",0.875,0,0.8792,0.89,0,0.8911,"), std::string::npos) << first;
  EXPECT_TRUE(first.ends_with(",1,\"Some GPU, driver 1.2\",vktrain 9.9.9 (abc),")) << first;
  EXPECT_TRUE(second.starts_with("a-fcn-100k,a,assumed-details,85614,adam,0.003,15,512,1,0,fail,"))
      << second;
  EXPECT_TRUE(second.ends_with(",\"no \"\"room\"\", here.\"")) << second;
  EXPECT_EQ(std::count(titles.begin(), titles.end(), ','),
            std::count(first.begin(), first.end(), ',') - 1);  // one is inside quotes
}

TEST(ReproductionJson, HasEveryRun) {
  ReproductionRow two = row("a-fcn-50k", {record(4, 0.87, 0.89, 8), record(5, 0.89, 0.9, 8)});
  two.runs[1].test_loss.reset();
  const auto json = nlohmann::json::parse(report_json(reproduction({two, row("a-fcn-100k", {})})));
  EXPECT_EQ(json["command"], "vktrain reproduce 'a-*'");
  EXPECT_EQ(json["date"], "2023-04-05 06:07 UTC");
  EXPECT_EQ(json["devices"],
            (std::vector<std::string>{"Some GPU, driver 1.2; vktrain 9.9.9 (abc)"}));
  ASSERT_EQ(json["experiments"].size(), 2U);
  const auto& first = json["experiments"][0];
  EXPECT_EQ(first["experiment"], "a-fcn-50k");
  EXPECT_EQ(first["mark"], "ok");
  EXPECT_NEAR(first["test_accuracy"]["mean"].get<double>(), 0.88, 1e-12);
  EXPECT_NEAR(first["test_accuracy"]["deviation"].get<double>(), 0.02 / std::sqrt(2.0), 1e-12);
  EXPECT_EQ(first["test_accuracy"]["reported"], 0.8792);
  EXPECT_TRUE(first["test_loss"]["mean"].is_null());
  EXPECT_EQ(first["runs"][0]["seed"], 4);
  EXPECT_EQ(first["runs"][0]["test_loss"], 0.35);
  EXPECT_TRUE(first["runs"][1]["test_loss"].is_null());
  EXPECT_EQ(first["assumed"].size(), 10U);
  const auto& second = json["experiments"][1];
  EXPECT_EQ(second["mark"], "not run");
  EXPECT_TRUE(second["test_accuracy"]["mean"].is_null());
  EXPECT_TRUE(second["runs"].empty());
}

}  // namespace
}  // namespace vktrain::app
