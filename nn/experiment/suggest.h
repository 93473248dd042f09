// "Did you mean": the known name nearest to an unknown one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace vktrain::nn {

// Levenshtein distance in bytes: insertions, deletions and replacements.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The first known name of several words with these initials ("lr": learning_rate), else the one
// with the least edit distance, the first of equals; empty when none is near (more than a third of
// the longer name's letters, or 2, differ).
std::string nearest(std::string_view unknown, std::span<const std::string> known);

// "did you mean 'learning_rate'?", or where nothing is near "known are 'a', 'b'" (at most 6
// names, and how many more there are); empty when nothing is known.
std::string suggest(std::string_view unknown, std::span<const std::string> known);

}  // namespace vktrain::nn
