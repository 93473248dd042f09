// The results of `vktrain bench` as a table, Markdown, CSV or JSON.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace vktrain::app {

// Absent: null in JSON, empty in CSV, "-" in tables.
using BenchValue = std::variant<std::monostate, std::string, std::int64_t, double>;

enum class Shown {
  everywhere,
  documents,  // not in the table for the terminal
  files       // in CSV and JSON only
};

struct BenchField {
  std::string key;    // "median_ms"
  std::string title;  // "ms": the column in tables
  BenchValue value;
  int digits = 1;  // after the point, in tables
  Shown shown = Shown::everywhere;
};

// All rows of one output have the same keys in the same order.
using BenchRow = std::vector<BenchField>;

enum class BenchFormat { table, md, csv, json };
BenchFormat parse_bench_format(std::string_view text);  // throws UsageError

std::string format_rows(std::span<const BenchRow> rows, BenchFormat format);

}  // namespace vktrain::app
