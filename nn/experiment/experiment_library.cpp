// See experiment_library.h.
#include "nn/experiment/experiment_library.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "nn/experiment/experiment_keys.h"

namespace vktrain::nn {

namespace {

// Small networks of two families, with batch norm and dropout among them, together about three
// minutes on two CPU cores.
constexpr std::array<std::string_view, 3> kQuickSuite = {"a-fcn-50k", "a-fcn-100k", "b-fcn-50k"};

constexpr std::string_view kReportSuite = "report-";

// Of an experiment that is from a report.
bool in_suite(const Experiment& experiment, std::string_view suite) {
  if (suite == "fcn") return experiment.id.find("-fcn-") != std::string::npos;
  if (suite == "cnn") return experiment.id.find("-cnn-") != std::string::npos;
  return suite == "all" || suite.substr(kReportSuite.size()) == experiment.report;
}

// '*' matches any text, '?' any character. Linear: on a mismatch only the last '*' gives way.
bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// What is true of one run only and so not inherited from its base.
bool own_to_a_run(std::string_view key) {
  return key == "description" || key == "notes" || key.starts_with("reported.");
}

std::string unknown_experiment(std::string_view name, std::span<const std::string> ids) {
  std::string message = unknown_name("experiment", name, ids);
  if (message.ends_with('?')) return message;
  message.pop_back();
  return message + "; `vktrain experiments` lists all.";
}

struct Run {
  toml::table table;  // without `base`; moved, never copied: a copy loses the lines
  std::string base;   // id, or empty
  toml::source_region place;
};

class FamilyFile {
 public:
  explicit FamilyFile(const EmbeddedFile& file)
      : source_(fmt::format("{}.toml", file.name)), table_(parse_toml(file.text(), source_)) {
    for (auto&& [key, node] : table_) {
      if (key.str() == "defaults") {
        if (!node.is_table()) TomlValue{&node, "defaults", source_}.fail("a table");
        defaults_ = keyed_values(*node.as_table(), source_);
      } else if (key.str() == "run") {
        if (!node.is_table()) TomlValue{&node, "run", source_}.fail("tables [run.ID]");
        for (auto&& [id, run] : *node.as_table()) add_run(std::string(id.str()), run);
      } else {
        const std::array<std::string, 2> known = {"defaults", "run"};
        throw UsageError(place_of(source_, key.source()) +
                         unknown_name("section", key.str(), known));
      }
    }
  }

  // In the order of the text; toml++ keeps tables sorted by name.
  std::vector<std::string> ids() const {
    std::vector<std::string> ids;
    for (const auto& [id, run] : runs_) ids.push_back(id);
    std::stable_sort(ids.begin(), ids.end(), [&](const std::string& a, const std::string& b) {
      return runs_.at(a).place.begin.line < runs_.at(b).place.begin.line;
    });
    return ids;
  }

  Experiment experiment(const std::string& id) const {
    KeyedValues values = defaults_;
    overlay(id, true, 0, values);
    try {
      Experiment result = experiment_from(values);
      result.id = id;
      add_shared_assumptions(result);
      check(result);
      check_count(result);
      return result;
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("experiment {}: {}", id, error.what()));
    }
  }

 private:
  void add_run(const std::string& id, toml::node& node) {
    if (!node.is_table()) TomlValue{&node, "run." + id, source_}.fail("a table");
    Run run;
    run.place = node.source();
    run.table = std::move(*node.as_table());
    if (const toml::node* base = run.table.get("base")) {
      if (!base->is_string()) TomlValue{base, "base", source_}.fail("the id of a run");
      run.base = base->as_string()->get();
      run.table.erase("base");
    }
    runs_.emplace(id, std::move(run));
  }

  void overlay(const std::string& id, bool own, std::size_t depth, KeyedValues& values) const {
    const Run& run = runs_.at(id);
    if (!run.base.empty()) {
      if (!runs_.contains(run.base)) {
        throw UsageError(place_of(source_, run.place) + unknown_name("run", run.base, ids()));
      }
      if (depth > runs_.size()) {
        throw UsageError(
            fmt::format("{}run {} is its own base.", place_of(source_, run.place), id));
      }
      overlay(run.base, false, depth + 1, values);
    }
    for (const auto& [key, value] : keyed_values(run.table, source_)) {
      if (own || !own_to_a_run(key)) values.insert_or_assign(key, value);
    }
  }

  // Assumptions add up, unlike every other setting: a run's come after those of [defaults].
  void add_shared_assumptions(Experiment& experiment) const {
    const auto shared = defaults_.find("reported.assumed");
    if (shared == defaults_.end()) return;
    Experiment defaults;
    find_setting(experiment_settings(), shared->first)->read(defaults, shared->second);
    std::vector<std::string>& assumed = experiment.reported.assumed;
    if (assumed == defaults.reported.assumed) return;
    assumed.insert(assumed.begin(), defaults.reported.assumed.begin(),
                   defaults.reported.assumed.end());
  }

  void check_count(const Experiment& experiment) const {
    const std::optional<std::int64_t>& expected = experiment.reported.parameter_count;
    if (!expected || *expected == parameter_count(experiment)) return;
    throw UsageError(fmt::format("reported.parameter_count is {}, but the layers have {}.",
                                 *expected, parameter_count(experiment)));
  }

  std::string source_;
  toml::table table_;
  KeyedValues defaults_;
  std::map<std::string, Run> runs_;
};

}  // namespace

ExperimentLibrary::ExperimentLibrary(std::span<const EmbeddedFile> family_files) {
  for (const EmbeddedFile& file : family_files) {
    const FamilyFile family(file);
    for (const std::string& id : family.ids()) {
      if (!experiments_.emplace(id, family.experiment(id)).second) {
        throw UsageError(
            fmt::format("{}.toml: there is a run {} in another file too.", file.name, id));
      }
      ids_.push_back(id);
    }
  }
}

bool ExperimentLibrary::contains(std::string_view id) const {
  return experiments_.find(id) != experiments_.end();
}

const Experiment& ExperimentLibrary::find(std::string_view id) const {
  const auto found = experiments_.find(id);
  if (found == experiments_.end()) throw UsageError(unknown_experiment(id, ids_));
  return found->second;
}

std::vector<const Experiment*> ExperimentLibrary::match(
    std::span<const std::string> patterns) const {
  std::vector<bool> chosen(ids_.size(), false);
  for (const std::string& pattern : patterns) {
    bool any = false;
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      if (!matches(pattern, ids_[i])) continue;
      chosen[i] = any = true;
    }
    if (!any) throw UsageError(unknown_experiment(pattern, ids_));
  }
  std::vector<const Experiment*> result;
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    if (chosen[i]) result.push_back(&find(ids_[i]));
  }
  return result;
}

std::vector<const Experiment*> ExperimentLibrary::suite(std::string_view name) const {
  if (name == "quick") {
    return match(std::vector<std::string>(kQuickSuite.begin(), kQuickSuite.end()));
  }
  const std::vector<std::string> known = suites();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    throw UsageError(unknown_name("suite", name, known));
  }
  std::vector<const Experiment*> result;
  for (const std::string& id : ids_) {
    const Experiment& experiment = find(id);
    if (!experiment.report.empty() && in_suite(experiment, name)) result.push_back(&experiment);
  }
  return result;
}

std::vector<std::string> ExperimentLibrary::suites() const {
  std::vector<std::string> names = {"quick", "fcn", "cnn", "all"};
  std::set<std::string> reports;
  for (const auto& [id, experiment] : experiments_) reports.insert(experiment.report);
  for (const std::string& report : reports) {
    if (!report.empty()) names.push_back(std::string(kReportSuite) + report);
  }
  return names;
}

}  // namespace vktrain::nn
