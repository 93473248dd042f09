#include "apps/vktrain/bench_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/vktrain/text.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

bool is_number(const BenchValue& value) {
  return std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value);
}

std::string cell_text(const BenchField& field) {
  if (const auto* text = std::get_if<std::string>(&field.value)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&field.value)) return grouped(*number);
  const auto* real = std::get_if<double>(&field.value);
  if (!real || !std::isfinite(*real)) return "-";
  return fmt::format("{:.{}f}", *real, field.digits);
}

std::string csv_text(const BenchValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  const auto* real = std::get_if<double>(&value);
  return real && std::isfinite(*real) ? fmt::format("{:.7g}", *real) : "";
}

nlohmann::ordered_json json_value(const BenchValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
  const auto* real = std::get_if<double>(&value);
  if (!real || !std::isfinite(*real)) return nullptr;
  return *real;
}

// A column is there when any row shows it.
std::vector<std::size_t> shown_columns(std::span<const BenchRow> rows, Shown most) {
  std::vector<std::size_t> columns;
  for (std::size_t i = 0; i < rows.front().size(); ++i) {
    const bool shown = std::any_of(rows.begin(), rows.end(),
                                   [i, most](const BenchRow& row) { return row[i].shown <= most; });
    if (shown) columns.push_back(i);
  }
  return columns;
}

// Right-aligned when any row has a number in it.
Align align_of(std::span<const BenchRow> rows, std::size_t column) {
  for (const BenchRow& row : rows) {
    if (is_number(row[column].value)) return Align::right;
  }
  return Align::left;
}

std::string table_text(std::span<const BenchRow> rows) {
  std::vector<TextTable::Column> titles;
  const std::vector<std::size_t> columns = shown_columns(rows, Shown::everywhere);
  for (const std::size_t i : columns) titles.push_back({rows[0][i].title, align_of(rows, i)});
  TextTable table(std::move(titles));
  for (const BenchRow& row : rows) {
    std::vector<std::string> cells;
    for (const std::size_t i : columns) cells.push_back(cell_text(row[i]));
    table.add_row(std::move(cells));
  }
  return table.text();
}

std::string markdown(std::span<const BenchRow> rows) {
  const std::vector<std::size_t> columns = shown_columns(rows, Shown::documents);
  std::string text = "|";
  for (const std::size_t i : columns) text += fmt::format(" {} |", rows[0][i].title);
  text += "\n|";
  for (const std::size_t i : columns) {
    text += align_of(rows, i) == Align::right ? " ---: |" : " --- |";
  }
  for (const BenchRow& row : rows) {
    text += "\n|";
    for (const std::size_t i : columns) text += fmt::format(" {} |", cell_text(row[i]));
  }
  return text + "\n";
}

std::string csv(std::span<const BenchRow> rows) {
  std::vector<std::string> keys;
  for (const BenchField& field : rows[0]) keys.push_back(field.key);
  std::string text = csv_line(std::move(keys));
  for (const BenchRow& row : rows) {
    std::vector<std::string> cells;
    for (const BenchField& field : row) cells.push_back(csv_text(field.value));
    text += csv_line(std::move(cells));
  }
  return text;
}

std::string json(std::span<const BenchRow> rows) {
  auto list = nlohmann::ordered_json::array();
  for (const BenchRow& row : rows) {
    nlohmann::ordered_json object;
    for (const BenchField& field : row) object[field.key] = json_value(field.value);
    list.push_back(std::move(object));
  }
  return list.dump(2) + "\n";
}

}  // namespace

BenchFormat parse_bench_format(std::string_view text) {
  if (text == "table") return BenchFormat::table;
  if (text == "md") return BenchFormat::md;
  if (text == "csv") return BenchFormat::csv;
  if (text == "json") return BenchFormat::json;
  throw UsageError(
      fmt::format("--format must be one of table, md, csv, json, but it is '{}'.", text));
}

std::string format_rows(std::span<const BenchRow> rows, BenchFormat format) {
  if (rows.empty()) return format == BenchFormat::json ? "[]\n" : "";
  switch (format) {
    case BenchFormat::md:
      return markdown(rows);
    case BenchFormat::csv:
      return csv(rows);
    case BenchFormat::json:
      return json(rows);
    case BenchFormat::table:
      break;
  }
  return table_text(rows);
}

}  // namespace vktrain::app
