// See split.h.
#include "nn/data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "nn/rng.h"
#include "runtime/error.h"

namespace vktrain::nn {

namespace {

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Split split_first(std::int64_t count, std::size_t images) {
  Split split;
  for (std::uint32_t i = 0; i < images; ++i) {
    (static_cast<std::int64_t>(i) < count ? split.validation : split.train).push_back(i);
  }
  return split;
}

Split split_stratified(double fraction, std::span<const std::uint8_t> labels, std::uint64_t seed) {
  std::array<std::vector<std::uint32_t>, 256> members;
  for (std::uint32_t i = 0; i < labels.size(); ++i) members[labels[i]].push_back(i);

  Split split;
  PhiloxRng rng(seed, random_stream(RandomUse::split));
  for (std::vector<std::uint32_t>& list : members) {
    const auto size = static_cast<std::uint32_t>(list.size());
    const auto taken = static_cast<std::uint32_t>(std::floor(fraction * size + 0.5));
    for (std::uint32_t i = 0; i < taken; ++i) std::swap(list[i], list[i + rng.below(size - i)]);
    split.validation.insert(split.validation.end(), list.begin(), list.begin() + taken);
    split.train.insert(split.train.end(), list.begin() + taken, list.end());
  }
  std::ranges::sort(split.validation);
  std::ranges::sort(split.train);
  return split;
}

}  // namespace

SplitRule parse_split_rule(std::string_view text) {
  using Kind = SplitRule::Kind;
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const bool has_value = colon != std::string_view::npos;
  const std::string_view value = has_value ? text.substr(colon + 1) : std::string_view();

  if (text == "none") return {.kind = Kind::none};
  if (text == "stratified") return {.kind = Kind::stratified};
  if (name == "stratified" && has_value) {
    const auto fraction = parse_number<double>(value);
    if (fraction && *fraction > 0 && *fraction < 1) {
      return {.kind = Kind::stratified, .fraction = *fraction};
    }
  }
  if (name == "first" && has_value) {
    const auto count = parse_number<std::int64_t>(value);
    if (count && *count > 0) return {.kind = Kind::first, .count = *count};
  }
  throw UsageError(
      fmt::format("split rule '{}' is unknown: expected 'none', 'stratified:FRACTION' with "
                  "a fraction between 0 and 1, such as 'stratified:0.1', or "
                  "'first:COUNT', such as 'first:5000'.",
                  text));
}

std::string to_string(const SplitRule& rule) {
  switch (rule.kind) {
    case SplitRule::Kind::none:
      return "none";
    case SplitRule::Kind::stratified:
      return fmt::format("stratified:{}", rule.fraction);
    case SplitRule::Kind::first:
      return fmt::format("first:{}", rule.count);
  }
  return {};
}

Split make_split(const SplitRule& rule, std::span<const std::uint8_t> labels, std::uint64_t seed) {
  Split split;
  if (rule.kind == SplitRule::Kind::stratified) {
    if (!(rule.fraction > 0 && rule.fraction < 1)) {
      throw UsageError(
          fmt::format("split rule '{}' needs a fraction between 0 and 1.", to_string(rule)));
    }
    split = split_stratified(rule.fraction, labels, seed);
  } else {
    const bool none = rule.kind == SplitRule::Kind::none;
    split = split_first(none ? 0 : rule.count, labels.size());
  }
  if (split.train.empty()) {
    throw Error(
        fmt::format("split rule '{}' leaves nothing to train with: the training set has {} "
                    "images.",
                    to_string(rule), labels.size()));
  }
  if (split.validation.empty() && rule.kind != SplitRule::Kind::none) {
    throw Error(
        fmt::format("split rule '{}' leaves nothing to validate with: the training set has {} "
                    "images; 'none' trains without validation.",
                    to_string(rule), labels.size()));
  }
  return split;
}

std::vector<std::uint32_t> permutation(std::span<const std::uint32_t> items, std::uint64_t seed,
                                       std::uint32_t epoch) {
  std::vector<std::uint32_t> order(items.begin(), items.end());
  PhiloxRng rng(seed, random_stream(RandomUse::shuffle, epoch));
  for (auto i = static_cast<std::uint32_t>(order.size()); i > 1; --i) {
    std::swap(order[i - 1], order[rng.below(i)]);
  }
  return order;
}

}  // namespace vktrain::nn
