// Which images train and which validate, and in which order an epoch visits them. Everything here
// is a function of its arguments alone: the same on every platform.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vktrain::nn {

struct SplitRule {
  enum class Kind {
    none,        // everything trains
    stratified,  // `fraction` of each class, drawn at random, validates
    first,       // the first `count` images validate
  };
  Kind kind = Kind::stratified;
  double fraction = 0.1;   // in (0, 1); of `stratified`
  std::int64_t count = 0;  // at least 1; of `first`

  bool operator==(const SplitRule&) const = default;
};

// "none", "stratified:0.1" ("stratified" alone means 0.1), "first:5000". Anything else: UsageError
// that lists the forms. to_string gives back the shortest text that parses to the same rule.
SplitRule parse_split_rule(std::string_view text);
std::string to_string(const SplitRule& rule);

// Indices of images, each list ascending; together every image once.
struct Split {
  std::vector<std::uint32_t> train;
  std::vector<std::uint32_t> validation;
};

// `stratified` takes fraction * (size of the class) images of each class, rounded to the nearest.
// Throws Error when the rule leaves nothing to train with, or asks for validation images and gets
// none.
Split make_split(const SplitRule& rule, std::span<const std::uint8_t> labels, std::uint64_t seed);

// `items` in the random order of this epoch (Fisher and Yates); each (seed, epoch) has an order of
// its own that does not depend on the epochs before.
std::vector<std::uint32_t> permutation(std::span<const std::uint32_t> items, std::uint64_t seed,
                                       std::uint32_t epoch);

}  // namespace vktrain::nn
