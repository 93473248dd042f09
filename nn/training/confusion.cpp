#include "nn/training/confusion.h"

#include <numeric>
#include <stdexcept>

namespace vktrain::nn {

Confusion::Confusion(std::size_t classes, std::vector<std::int64_t> counts)
    : classes_(classes), counts_(std::move(counts)) {
  if (counts_.size() != classes * classes)
    throw std::invalid_argument("counts per pair of classes");
}

std::int64_t Confusion::images(std::size_t truth) const {
  std::int64_t sum = 0;
  for (std::size_t predicted = 0; predicted < classes_; ++predicted) sum += count(truth, predicted);
  return sum;
}

std::optional<double> Confusion::class_accuracy(std::size_t truth) const {
  const std::int64_t all = images(truth);
  if (all == 0) return std::nullopt;
  return static_cast<double>(count(truth, truth)) / static_cast<double>(all);
}

std::optional<Confusion::Pair> Confusion::largest() const {
  Pair largest;
  for (std::size_t t = 0; t < classes_; ++t) {
    for (std::size_t p = 0; p < classes_; ++p) {
      if (t != p && count(t, p) > largest.count) largest = {t, p, count(t, p)};
    }
  }
  if (largest.count == 0) return std::nullopt;
  return largest;
}

Confusion& Confusion::operator+=(const Confusion& other) {
  if (classes_ == 0) return *this = other;
  if (other.classes_ != classes_) throw std::invalid_argument("confusions of different classes");
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  return *this;
}

}  // namespace vktrain::nn
