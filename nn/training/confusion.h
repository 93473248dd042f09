// What a model takes for what: how many images of each class it takes for each class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace vktrain::nn {

class Confusion {
 public:
  Confusion() = default;  // of no classes
  // `counts`: [true class][predicted class], row-major.
  Confusion(std::size_t classes, std::vector<std::int64_t> counts);

  std::size_t classes() const { return classes_; }
  std::int64_t count(std::size_t truth, std::size_t predicted) const {
    return counts_.at(truth * classes_ + predicted);
  }
  std::int64_t images(std::size_t truth) const;
  // Share of the class's images that are taken for it; absent without images of it.
  std::optional<double> class_accuracy(std::size_t truth) const;

  struct Pair {
    std::size_t truth = 0;
    std::size_t predicted = 0;
    std::int64_t count = 0;
  };
  // The wrong prediction that is made most often, the first of equals; absent when there is none.
  std::optional<Pair> largest() const;

  // Adds another's counts, of as many classes; to a confusion of no classes those of any number.
  Confusion& operator+=(const Confusion& other);
  bool operator==(const Confusion&) const = default;

 private:
  std::size_t classes_ = 0;
  std::vector<std::int64_t> counts_;
};

}  // namespace vktrain::nn
