#include "apps/vktrain/reproduction_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace vktrain::app {

bool empty(const Column& column) {
  return std::all_of(column.cells.begin(), column.cells.end(),
                     [](const std::string& cell) { return cell == kNone; });
}

std::string percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.2f}", 100 * *fraction) : std::string(kNone);
}

std::string percent(const std::optional<Spread>& spread) {
  if (!spread) return std::string(kNone);
  const std::string mean = percent(std::optional<double>(spread->mean));
  if (!spread->deviation) return mean;
  return fmt::format("{} ± {}", mean, percent(spread->deviation));
}

std::string loss(const std::optional<double>& value) {
  return value ? fmt::format("{:.4f}", *value) : std::string(kNone);
}

std::string seconds(const std::optional<double>& value) {
  return value ? fmt::format("{:.1f}", *value) : std::string(kNone);
}

std::string rate(const std::optional<double>& value) {
  return value ? grouped(std::llround(*value)) : std::string(kNone);
}

std::optional<double> mean(const ReproductionRow& row, RunValue value) {
  const std::optional<Spread> spread = spread_of(row, value);
  return spread ? std::optional<double>(spread->mean) : std::nullopt;
}

std::string train_seconds(const ReproductionRow& row) {
  const bool together = std::any_of(row.runs.begin(), row.runs.end(),
                                    [](const RunRecord& run) { return run.trained_together > 1; });
  return seconds(mean(row, &RunRecord::train_seconds)) + (together ? "†" : "");
}

void drop_empty(std::vector<Column>& columns) {
  columns.erase(std::remove_if(columns.begin(), columns.end(), empty), columns.end());
}

void add_names(std::vector<Column>& columns, const ReportRows& rows) {
  add_column(
      columns, rows, "experiment",
      [](const ReproductionRow& row) { return row.experiment.id + mark(row); }, Align::left);
  add_column(columns, rows, "weights", [](const ReproductionRow& row) {
    return grouped(nn::parameter_count(row.experiment));
  });
}

std::string terminal_table(const std::vector<Column>& columns) {
  std::vector<TextTable::Column> titles;
  for (const Column& column : columns) titles.push_back({column.title, column.align});
  TextTable table(std::move(titles));
  for (std::size_t i = 0; i < columns.front().cells.size(); ++i) {
    std::vector<std::string> cells;
    for (const Column& column : columns) cells.push_back(column.cells[i]);
    table.add_row(std::move(cells));
  }
  return table.text();
}

std::string markdown_table(const std::vector<Column>& columns) {
  std::string titles = "|";
  std::string rule = "|";
  for (const Column& column : columns) {
    titles += fmt::format(" {} |", escaped(column.title));
    rule += column.align == Align::left ? "---|" : "---:|";
  }
  std::string text = titles + "\n" + rule + "\n";
  for (std::size_t i = 0; i < columns.front().cells.size(); ++i) {
    text += "|";
    for (const Column& column : columns) text += fmt::format(" {} |", escaped(column.cells[i]));
    text += "\n";
  }
  return text;
}

}  // namespace vktrain::app
