#include "apps/vktrain/reproduction_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "apps/vktrain/reproduction_columns.h"
#include "apps/vktrain/reproduction_footnotes.h"
#include "apps/vktrain/reproduction_tables.h"
#include "apps/vktrain/text.h"
#include "nn/experiment/experiment_toml.h"

namespace vktrain::app {
namespace {

using Rows = ReportRows;
// ---- cells

std::string training(const ReproductionRow& row) {
  const nn::OptimizerConfig& optimizer = row.experiment.optimizer;
  return fmt::format("{} {:g} ×{}", nn::name_of(optimizer.kind), optimizer.learning_rate,
                     row.experiment.training.epochs);
}

std::string seeds(const ReproductionRow& row) {
  const auto done = static_cast<std::int64_t>(row.runs.size());
  return done < row.seeds ? fmt::format("{}/{}", done, row.seeds) : std::to_string(done);
}

std::string reached_test(const ReproductionRow& row) {
  if (verdict_of(row) == Verdict::not_run) return name_of(Verdict::not_run);
  return percent(spread_of(row, &RunRecord::test_accuracy));
}

std::string mark_cell(const ReproductionRow& row) {
  return verdict_of(row) == Verdict::not_run ? std::string(kNone) : name_of(verdict_of(row));
}

std::string reported_test(const ReproductionRow& row) {
  const nn::ReportedResults& reported = row.experiment.reported;
  if (reported.test_accuracy || !reported.accuracy) return percent(reported.test_accuracy);
  return "~" + percent(reported.accuracy);
}

std::string difference(const ReproductionRow& row) {
  const std::optional<double> value = difference_of(row);
  return value ? fmt::format("{:+.2f}", 100 * *value) : std::string(kNone);
}

// ---- tables

void add_accuracies(std::vector<Column>& columns, const Rows& rows) {
  add_column(columns, rows, "training", training, Align::left);
  add_column(columns, rows, "n", seeds);
  add_column(columns, rows, "test %", reached_test);
  add_column(columns, rows, "report", reported_test);
  add_column(columns, rows, "diff", difference);
  add_column(columns, rows, "mark", mark_cell, Align::left);
  add_column(columns, rows, "val %", [](const ReproductionRow& row) {
    return percent(mean(row, &RunRecord::val_accuracy));
  });
  std::vector<Column> reported;
  add_column(reported, rows, "report", [](const ReproductionRow& row) {
    return percent(row.experiment.reported.val_accuracy);
  });
  drop_empty(reported);
  columns.insert(columns.end(), reported.begin(), reported.end());
}

void add_times(std::vector<Column>& columns, const Rows& rows) {
  std::vector<Column> added;
  add_column(added, rows, "train s", train_seconds);
  add_column(added, rows, "report", [](const ReproductionRow& row) {
    return seconds(row.experiment.reported.train_seconds);
  });
  add_column(added, rows, "weights/s", [](const ReproductionRow& row) {
    return rate(mean(row, &RunRecord::weights_per_second));
  });
  add_column(added, rows, "report",
             [](const ReproductionRow& row) { return rate(row.experiment.reported.efficiency); });
  drop_empty(added);
  columns.insert(columns.end(), added.begin(), added.end());
}

// Only the losses that the report prints for one of its runs.
void add_losses(std::vector<Column>& columns, const Rows& rows) {
  const auto add = [&](std::string title, RunValue reached,
                       std::optional<double> nn::ReportedResults::*reported) {
    const auto expected = [reported](const ReproductionRow& row) {
      return loss(row.experiment.reported.*reported);
    };
    std::vector<Column> pair;
    add_column(pair, rows, std::move(title),
               [reached](const ReproductionRow& row) { return loss(mean(row, reached)); });
    add_column(pair, rows, "report", expected);
    if (!empty(pair.back())) columns.insert(columns.end(), pair.begin(), pair.end());
  };
  add("train loss", &RunRecord::train_loss, &nn::ReportedResults::train_loss);
  add("val loss", &RunRecord::val_loss, &nn::ReportedResults::val_loss);
  add("test loss", &RunRecord::test_loss, &nn::ReportedResults::test_loss);
}

// ---- whole reports

std::vector<std::pair<std::string, Rows>> by_report(const Reproduction& reproduction) {
  std::vector<std::pair<std::string, Rows>> groups;
  for (const ReproductionRow& row : reproduction.rows) {
    const std::string& report = row.experiment.report;
    const auto found = std::find_if(groups.begin(), groups.end(),
                                    [&](const auto& group) { return group.first == report; });
    Rows& rows = found != groups.end() ? found->second : groups.emplace_back(report, Rows{}).second;
    rows.push_back(&row);
  }
  return groups;
}

std::string heading(std::string report) {
  if (report.empty()) return "Other experiments";
  std::transform(report.begin(), report.end(), report.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return "Report " + report;
}

std::size_t count(const Reproduction& reproduction, Verdict verdict) {
  return static_cast<std::size_t>(
      std::count_if(reproduction.rows.begin(), reproduction.rows.end(),
                    [verdict](const auto& row) { return verdict_of(row) == verdict; }));
}

// "5 experiments: 4 ok, 1 not run"
std::string counts(const Reproduction& reproduction) {
  std::vector<std::string> parts;
  for (const Verdict verdict : {Verdict::ok, Verdict::below, Verdict::no_report, Verdict::trial,
                                Verdict::failed, Verdict::not_run}) {
    const std::size_t n = count(reproduction, verdict);
    const std::string name = verdict == Verdict::no_report ? "without figure" : name_of(verdict);
    if (n > 0) parts.push_back(fmt::format("{} {}", n, name));
  }
  const std::size_t all = reproduction.rows.size();
  return fmt::format("{} experiment{}: {}", all, all == 1 ? "" : "s", fmt::join(parts, ", "));
}

std::string changes_text(const Reproduction& reproduction) {
  return fmt::format("trial, not the reports' runs: changed by {}",
                     fmt::join(reproduction.changes, ", "));
}

std::string markdown_sections(const std::vector<OwnTable>& tables) {
  std::string text;
  for (const OwnTable& table : tables) {
    text += fmt::format("\n### {}\n\n{}", escaped(table.title), markdown_table(table.columns));
  }
  return text;
}

constexpr std::string_view kLegend =
    "Reached beside the report's figure. training: optimizer, learning rate, epochs. n: seeds; "
    "with "
    "several, mean ± standard deviation. ok: not more than 1 percentage point below the report. "
    "weights/s: weights per second of training. *: some settings are assumed. **: described in "
    "words only, settings guessed. ~: of a set that the report does not name.";

}  // namespace

std::string name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::not_run:
      return "not run";
    case Verdict::failed:
      return "fail";
    case Verdict::trial:
      return "trial";
    case Verdict::no_report:
      return "-";
    case Verdict::ok:
      return "ok";
    case Verdict::below:
      return "below";
  }
  return "";
}

std::vector<std::string> devices_of(const Reproduction& reproduction) {
  std::map<std::string, int> runs;
  for (const ReproductionRow& row : reproduction.rows) {
    for (const RunRecord& run : row.runs) ++runs[fmt::format("{}; {}", run.device, run.program)];
  }
  std::vector<std::string> devices;
  for (const auto& [device, number] : runs) {
    const std::string count = fmt::format(" ({} run{})", number, number == 1 ? "" : "s");
    devices.push_back(device + (runs.size() == 1 ? "" : count));
  }
  return devices;
}

std::string report_table(const Reproduction& reproduction) {
  std::string text;
  for (const auto& [report, rows] : by_report(reproduction)) {
    std::vector<Column> accuracies;
    add_names(accuracies, rows);
    add_accuracies(accuracies, rows);
    std::vector<Column> times;
    add_names(times, rows);
    const std::size_t names = times.size();
    add_times(times, rows);
    add_losses(times, rows);
    text += heading(report) + "\n\n" + terminal_table(accuracies) + "\n";
    if (times.size() > names) text += terminal_table(times) + "\n";
    for (const OwnTable& table : own_tables(report, rows)) {
      text += table.title + "\n\n" + terminal_table(table.columns) + "\n";
    }
    const std::string notes = terminal_footnotes(rows);
    if (!notes.empty()) text += notes + "\n";
  }
  text += wrapped(std::string(kLegend));
  if (!reproduction.changes.empty()) text += wrapped(changes_text(reproduction));
  for (const std::string& device : devices_of(reproduction)) text += device + "\n";
  return text + counts(reproduction) + "\n";
}

std::string report_markdown(const Reproduction& reproduction) {
  std::string text = "# Reached beside reported\n\n";
  text += fmt::format("- command: `{}`\n- date: {}\n- written by: {}\n", reproduction.command,
                      reproduction.date, reproduction.program);
  for (const std::string& device : devices_of(reproduction)) {
    text += fmt::format("- device: {}\n", escaped(device));
  }
  if (!reproduction.changes.empty()) {
    text += fmt::format("- **{}**\n", escaped(changes_text(reproduction)));
  }
  text += fmt::format("- {}\n\n{}\n", counts(reproduction), escaped(kLegend));
  for (const auto& [report, rows] : by_report(reproduction)) {
    std::vector<Column> columns;
    add_names(columns, rows);
    add_accuracies(columns, rows);
    add_times(columns, rows);
    add_losses(columns, rows);
    text += fmt::format("\n## {}\n\n{}", heading(report), markdown_table(columns));
    const std::string notes = markdown_footnotes(rows);
    if (!notes.empty()) text += "\n" + notes;
    text += markdown_sections(own_tables(report, rows));
    text += markdown_sections(confusion_tables(report, rows));
  }
  return text;
}

}  // namespace vktrain::app
