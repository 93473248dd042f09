#include "apps/vktrain/reproduction_footnotes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace vktrain::app {
namespace {

// Texts with the experiments that they are about, in the order of their first one.
class Footnotes {
 public:
  void add(const std::string& text, const std::string& id) {
    std::vector<std::string>& ids = ids_[text];
    if (ids.empty()) order_.push_back(text);
    if (ids.empty() || ids.back() != id) ids.push_back(id);
  }

  // Calls use(text, ids) for each; the ids of a text about all rows are "all".
  template <class Use>
  void for_each(std::size_t rows, Use use) const {
    for (const std::string& text : order_) {
      const std::vector<std::string>& ids = ids_.at(text);
      use(text, rows > 1 && ids.size() == rows ? "all" : fmt::format("{}", fmt::join(ids, ", ")));
    }
  }

 private:
  std::vector<std::string> order_;
  std::map<std::string, std::vector<std::string>> ids_;
};

void add_verdict_notes(Footnotes& notes, const ReproductionRow& row) {
  const std::string& id = row.experiment.id;
  if (!row.failure.empty()) notes.add("failed: " + row.failure, id);
  if (basis_of(row.experiment.reported) == Basis::val_accuracy) {
    notes.add("the report gives no test accuracy; diff and mark are of the validation accuracy",
              id);
  }
  if (row.experiment.reported.repeats > 1) {
    notes.add(fmt::format("the reported accuracy is the mean of {} networks",
                          row.experiment.reported.repeats),
              id);
  }
  for (const RunRecord& run : row.runs) {
    if (run.trained_together < 2) continue;
    notes.add(fmt::format("† the time of {} seeds that trained at once", run.trained_together), id);
  }
}

// "learning rate: reason" -> "learning rate"
std::string field_of(const std::string& assumption) {
  return assumption.substr(0, assumption.find(':'));
}

}  // namespace

std::string mark(const ReproductionRow& row) {
  switch (row.experiment.reported.completeness) {
    case nn::Completeness::complete:
      return "";
    case nn::Completeness::assumed_details:
      return "*";
    case nn::Completeness::prose_only:
      return "**";
  }
  return "";
}

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|' || c == '*' || c == '_' || c == '<' || c == '`') result += '\\';
    result += c;
  }
  return result;
}

std::string wrapped(const std::string& text, std::string_view indent) {
  constexpr std::size_t kColumns = 120;
  std::string result;
  std::string line;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    const std::string word = text.substr(start, end - start);
    if (!line.empty() && line.size() + 1 + word.size() > kColumns) {
      result += line + "\n";
      line = std::string(indent) + word;
    } else {
      line += (line.empty() ? "" : " ") + word;
    }
    start = end + 1;
  }
  return result + line + "\n";
}

std::string terminal_footnotes(const ReportRows& rows) {
  Footnotes notes;
  for (const ReproductionRow* row : rows) {
    const std::string& id = row->experiment.id;
    add_verdict_notes(notes, *row);
    std::vector<std::string> fields;
    for (const std::string& assumption : row->experiment.reported.assumed) {
      fields.push_back(field_of(assumption));
    }
    if (!fields.empty()) {
      notes.add(fmt::format("{} assumed: {}", mark(*row), fmt::join(fields, ", ")), id);
    }
    for (const std::string& note : row->experiment.notes) notes.add(note, id);
  }
  std::string text;
  notes.for_each(rows.size(), [&](const std::string& note, const std::string& ids) {
    text += wrapped(fmt::format("{}: {}", ids, note), "  ");
  });
  return text;
}

std::string markdown_footnotes(const ReportRows& rows) {
  Footnotes notes;
  for (const ReproductionRow* row : rows) {
    const std::string& id = row->experiment.id;
    add_verdict_notes(notes, *row);
    for (const std::string& note : row->experiment.notes) notes.add(note, id);
    for (const std::string& assumption : row->experiment.reported.assumed) {
      notes.add("assumed " + assumption, id);
    }
  }
  std::string text;
  notes.for_each(rows.size(), [&](const std::string& note, const std::string& ids) {
    text += fmt::format("- {}: {}\n", escaped(ids), escaped(note));
  });
  return text;
}

}  // namespace vktrain::app
