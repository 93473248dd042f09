// What a reader has to know about single lines of a report: which settings are assumed, where the
// report contradicts itself, why a run failed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/vktrain/reproduction.h"

namespace vktrain::app {

using ReportRows = std::vector<const ReproductionRow*>;

// "*" where settings are assumed, "**" where they are guessed, else "".
std::string mark(const ReproductionRow& row);

// Of one table; the assumed settings by name only.
std::string terminal_footnotes(const ReportRows& rows);

// Of one table, as a list; every assumption with its reason.
std::string markdown_footnotes(const ReportRows& rows);

// Words in lines of at most 120 columns, the later ones after `indent`.
std::string wrapped(const std::string& text, std::string_view indent = "");

// Text without meaning for Markdown.
std::string escaped(std::string_view text);

}  // namespace vktrain::app
