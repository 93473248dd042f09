// The rows of the operations of `vktrain check`, while cases fill them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nn/check/comparison.h"
#include "nn/check/report.h"

namespace vktrain::nn {

// The row that a candidate belongs to. Numbers of splits depend on the shape: "tiled 64x64 by 8x4
// split" of "tiled 64x64 by 8x4 split 12".
std::string row_variant(const std::string& candidate);

// The error that is nearest to its limit stays.
void add_discrepancy(CheckRow& row, const Discrepancy& d);

// In the order in which they were first met.
class OperationRows {
 public:
  CheckRow& at(const std::string& operation, const std::string& candidate);
  bool has(const std::string& operation, const std::string& candidate) const;
  void clear_cases();
  // Adds what others found to rows of the same names.
  void merge(const OperationRows& others);
  std::vector<CheckRow> take() { return std::move(rows_); }

 private:
  std::vector<CheckRow> rows_;
  std::map<std::pair<std::string, std::string>, std::size_t> index_;
};

}  // namespace vktrain::nn
