// Numbers and tables as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vktrain::app {

std::string grouped(std::int64_t value);  // "85,614"
std::string byte_size(double bytes);      // "1.2 MiB"
std::string duration(double seconds);     // "4.2 s", "3 min 07 s", "2 h 05 min"

// A line of CSV (RFC 4180, but it ends with \n).
std::string csv_line(std::vector<std::string> cells);

enum class Align { left, right };

// Rows of cells under a header, two spaces between columns.
class TextTable {
 public:
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace vktrain::app
