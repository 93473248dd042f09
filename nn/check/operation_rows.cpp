#include "nn/check/operation_rows.h"

#include <algorithm>
#include <string_view>

namespace vktrain::nn {
namespace {

void merge_row(CheckRow& row, const CheckRow& other) {
  row.cases += other.cases;
  if (other.error) {
    Discrepancy worst;
    worst.ulp = other.error->ulp;
    worst.limit_ulp = other.error->limit_ulp;
    worst.relative = other.error->relative;
    add_discrepancy(row, worst);
  }
  if (other.result == CheckResult::fail) fail(row, other.why);
}

}  // namespace

std::string row_variant(const std::string& candidate) {
  constexpr std::string_view kSplit = " split ";
  const std::size_t place = candidate.find(kSplit);
  if (place == std::string::npos) return candidate;
  const std::size_t end = candidate.find_first_not_of("0123456789", place + kSplit.size());
  return candidate.substr(0, place + kSplit.size() - 1) +
         (end == std::string::npos ? "" : candidate.substr(end));
}

void add_discrepancy(CheckRow& row, const Discrepancy& d) {
  if (!row.error) row.error.emplace();
  Discrepancy worst;
  worst.ulp = row.error->ulp;
  worst.limit_ulp = row.error->limit_ulp;
  if (row.error->limit_ulp == 0 || d.share() > worst.share()) {
    row.error->ulp = d.ulp;
    row.error->limit_ulp = d.limit_ulp;
  }
  row.error->relative = std::max(row.error->relative, d.relative);
}

CheckRow& OperationRows::at(const std::string& operation, const std::string& candidate) {
  const std::string variant = row_variant(candidate);
  const auto [place, added] = index_.try_emplace({operation, variant}, rows_.size());
  if (added) {
    rows_.push_back({.group = "operation", .operation = operation, .variant = variant});
  }
  return rows_[place->second];
}

bool OperationRows::has(const std::string& operation, const std::string& candidate) const {
  return index_.contains({operation, row_variant(candidate)});
}

void OperationRows::clear_cases() {
  for (CheckRow& row : rows_) row.cases = 0;
}

void OperationRows::merge(const OperationRows& others) {
  for (const CheckRow& other : others.rows_) merge_row(at(other.operation, other.variant), other);
}

}  // namespace vktrain::nn
