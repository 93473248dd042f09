// Tables of a report by columns, before it is known whether they are for a terminal or for
// Markdown, and the texts of their cells; what is absent is "-".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/vktrain/reproduction.h"
#include "apps/vktrain/reproduction_footnotes.h"
#include "apps/vktrain/text.h"

namespace vktrain::app {

inline constexpr std::string_view kNone = "-";

using RunValue = std::optional<double> RunRecord::*;
using ReportedValue = std::optional<double> nn::ReportedResults::*;

struct Column {
  std::string title;
  Align align = Align::right;
  std::vector<std::string> cells = {};
};

bool empty(const Column& column);  // every cell is absent

std::string percent(const std::optional<double>& fraction);  // "88.16"
std::string percent(const std::optional<Spread>& spread);    // "88.16 ± 0.07"
std::string loss(const std::optional<double>& value);        // "0.3614"
std::string seconds(const std::optional<double>& value);     // "12.6"
std::string rate(const std::optional<double>& value);        // "3,644"

// Of a row's runs.
std::optional<double> mean(const ReproductionRow& row, RunValue value);
// With a mark when seeds trained at once.
std::string train_seconds(const ReproductionRow& row);

template <class Cell>
void add_column(std::vector<Column>& columns, const ReportRows& rows, std::string title, Cell cell,
                Align align = Align::right) {
  Column column{std::move(title), align};
  for (const ReproductionRow* row : rows) column.cells.push_back(cell(*row));
  columns.push_back(std::move(column));
}
void drop_empty(std::vector<Column>& columns);

// The experiment and its number of weights.
void add_names(std::vector<Column>& columns, const ReportRows& rows);

std::string terminal_table(const std::vector<Column>& columns);
std::string markdown_table(const std::vector<Column>& columns);

}  // namespace vktrain::app
