#include "apps/vktrain/reproduce_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "nn/training/trainer.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

// Throws UsageError unless a built-in experiment is of the report.
void check_report(const nn::ExperimentLibrary& library, const std::string& report) {
  std::vector<std::string> known;
  for (const nn::Experiment* experiment : library.suite("all")) {
    if (experiment->report == report) return;
    if (known.empty() || known.back() != experiment->report) known.push_back(experiment->report);
  }
  throw UsageError(
      fmt::format("--report must be one of {}, but it is '{}'.", fmt::join(known, ", "), report));
}

std::vector<const nn::Experiment*> selected(const nn::ExperimentLibrary& library,
                                            const ReproduceArguments& arguments) {
  const bool by_set = arguments.suite || !arguments.reports.empty();
  if (by_set && !arguments.experiments.empty()) {
    throw UsageError("reproduce takes either experiments or --suite and --report, not both.");
  }
  if (!by_set && arguments.experiments.empty()) {
    throw UsageError(
        fmt::format("reproduce needs experiments: ids of `vktrain experiments`, patterns as "
                    "'a-fcn-*', --report "
                    "with the letter of a report, or --suite with one of {}.",
                    fmt::join(library.suites(), ", ")));
  }
  if (!by_set) return library.match(arguments.experiments);
  for (const std::string& report : arguments.reports) check_report(library, report);
  std::vector<const nn::Experiment*> result = library.suite(arguments.suite.value_or("all"));
  std::erase_if(result, [&](const nn::Experiment* experiment) {
    const auto& reports = arguments.reports;
    return !reports.empty() &&
           std::find(reports.begin(), reports.end(), experiment->report) == reports.end();
  });
  if (result.empty()) {
    throw UsageError(fmt::format("the suite {} has no experiment of report {}.", *arguments.suite,
                                 fmt::join(arguments.reports, " or ")));
  }
  return result;
}

ReproducePlan make_plan(const nn::Experiment& built_in, const ExperimentOptions& changes) {
  ReproducePlan plan;
  plan.experiment = built_in;
  try {
    change_experiment(plan.experiment, changes);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", built_in.id, error.what()));
  }
  if (!plan.experiment.learning_rates.empty()) {
    throw UsageError(
        "reproduce trains one learning rate for each experiment; for several use `vktrain train "
        "ID --learning-rate A,B`.");
  }
  plan.runs = nn::expand_replicas(plan.experiment);
  plan.experiment = plan.runs.front();
  std::set<std::uint64_t> seeds;
  for (const nn::Experiment& run : plan.runs) {
    if (seeds.insert(run.training.seed).second) continue;
    throw UsageError(fmt::format("--seeds names the seed {} twice.", run.training.seed));
  }
  nn::Experiment same_seed = built_in;
  same_seed.training.seed = plan.experiment.training.seed;
  same_seed.training.seeds.clear();
  plan.trial = plan.experiment != same_seed;
  return plan;
}

// For a shell, where it needs quotes.
std::string shell_quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace

std::vector<ReproducePlan> make_plans(const nn::ExperimentLibrary& library,
                                      const ReproduceArguments& arguments) {
  std::vector<ReproducePlan> plans;
  for (const nn::Experiment* experiment : selected(library, arguments)) {
    plans.push_back(make_plan(*experiment, arguments.changes));
  }
  return plans;
}

std::string command_text(const ReproduceArguments& arguments) {
  std::string text = "vktrain reproduce";
  const auto add = [&text](std::string_view option, const std::optional<std::string>& value) {
    if (value) text += fmt::format(" {} {}", option, shell_quoted(*value));
  };
  for (const std::string& id : arguments.experiments) text += " " + shell_quoted(id);
  add("--suite", arguments.suite);
  for (const std::string& report : arguments.reports) add("--report", report);
  add("--seeds", arguments.changes.seeds);
  add("--epochs", arguments.changes.epochs);
  for (const std::string& change : arguments.changes.set) add("--set", change);
  add("--data", arguments.data);
  if (arguments.compute.device != "auto") add("--device", arguments.compute.device);
  if (arguments.compute.validate) text += " --validate";
  if (arguments.compute.tune != "quick") add("--tune", arguments.compute.tune);
  if (arguments.compute.tune_budget != ComputeOptions{}.tune_budget) {
    add("--tune-budget", fmt::format("{}", arguments.compute.tune_budget));
  }
  add("--out", arguments.out);
  return text;
}

std::vector<std::string> change_texts(const ExperimentOptions& changes) {
  std::vector<std::string> texts = changes.set;
  if (changes.epochs) texts.push_back("training.epochs=" + *changes.epochs);
  return texts;
}

}  // namespace vktrain::app
