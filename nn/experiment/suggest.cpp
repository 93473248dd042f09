// See suggest.h.
#include "nn/experiment/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace vktrain::nn {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // One row of the Wagner-Fischer table at a time: row[j] = distance(a[0, i), b[0, j)).
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

namespace {

// "lr" for "learning_rate", which is what PyTorch calls it; empty for a single word.
std::string initials(std::string_view name) {
  if (name.find('_') == std::string_view::npos) return "";
  std::string letters;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '_' && (i == 0 || name[i - 1] == '_')) letters += name[i];
  }
  return letters;
}

}  // namespace

std::string nearest(std::string_view unknown, std::span<const std::string> known) {
  for (const std::string& name : known) {
    if (!unknown.empty() && initials(name) == unknown) return name;
  }
  std::string best;
  std::size_t best_distance = 0;
  for (const std::string& name : known) {
    const std::size_t distance = edit_distance(unknown, name);
    const std::size_t limit = std::max<std::size_t>(2, std::max(unknown.size(), name.size()) / 3);
    if (distance > limit || distance >= std::max(unknown.size(), name.size())) continue;
    if (best.empty() || distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

std::string suggest(std::string_view unknown, std::span<const std::string> known) {
  if (known.empty()) return "";
  if (const std::string name = nearest(unknown, known); !name.empty()) {
    return fmt::format("did you mean '{}'?", name);
  }
  constexpr std::size_t kShown = 6;
  const auto shown = known.first(std::min(kShown, known.size()));
  const std::string more =
      known.size() > kShown ? fmt::format(" and {} more", known.size() - kShown) : "";
  return fmt::format("known are '{}'{}", fmt::join(shown, "', '"), more);
}

}  // namespace vktrain::nn
