// Mean and spread of the results of several runs.
#pragma once

#include <cmath>
#include <optional>
#include <span>

namespace vktrain::nn {

// Needs at least one value.
inline double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Sample standard deviation (divides by n - 1); absent for fewer than two values.
inline std::optional<double> sample_deviation(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

}  // namespace vktrain::nn
