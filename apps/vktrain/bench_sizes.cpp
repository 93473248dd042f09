#include "apps/vktrain/bench_sizes.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <optional>

#include "runtime/error.h"

namespace vktrain::app {
namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kMost = 1024;

struct SizeRange {
  std::int64_t first = 0, last = 0, step = 0;
  bool geometric = false;
};

std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [read_end, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || text.starts_with('-')) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(read_end - text.data()));
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// "64", "64-512+64" or "256-4096*2".
std::optional<SizeRange> parse_range(std::string_view text) {
  const auto first = take_number(text);
  if (!first) return std::nullopt;
  if (text.empty()) return SizeRange{*first, *first, 1, false};
  if (!take(text, '-')) return std::nullopt;
  const auto last = take_number(text);
  if (!last || *last < *first) return std::nullopt;
  const bool geometric = text.starts_with('*');
  if (!take(text, '*') && !take(text, '+')) return std::nullopt;
  const auto step = take_number(text);
  if (!step || !text.empty() || *step < (geometric ? 2 : 1)) return std::nullopt;
  // A product of 0 stays 0.
  if (geometric && *first == 0) return std::nullopt;
  return SizeRange{*first, *last, *step, geometric};
}

void add_range(std::vector<std::int64_t>& sizes, const SizeRange& range, std::string_view option) {
  for (std::int64_t size = range.first; size <= range.last;
       size = range.geometric ? size * range.step : size + range.step) {
    if (sizes.size() == kMost) {
      throw UsageError(
          fmt::format("{} names more than {} sizes; take fewer or a larger step.", option, kMost));
    }
    sizes.push_back(size);
  }
}

}  // namespace

std::vector<std::string> parse_names(std::string_view text, std::string_view option) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    if (end > 0) names.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (names.empty()) throw UsageError(fmt::format("{} needs at least one value.", option));
  return names;
}

std::vector<std::int64_t> parse_sizes(std::string_view text, std::string_view option,
                                      std::int64_t least) {
  std::vector<std::int64_t> sizes;
  for (const std::string& part : parse_names(text, option)) {
    const auto range = parse_range(part);
    if (!range) {
      throw UsageError(fmt::format(
          "{} takes sizes as 64,512 or 64-512+64 or 256-4096*2, but it has '{}'.", option, part));
    }
    if (range->first < least || range->last > kLargest || range->step > kLargest) {
      throw UsageError(fmt::format("{} takes sizes from {} to {}, but it has '{}'.", option, least,
                                   kLargest, part));
    }
    add_range(sizes, *range, option);
  }
  return sizes;
}

}  // namespace vktrain::app
