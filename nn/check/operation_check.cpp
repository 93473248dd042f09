#include "nn/check/operation_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "nn/check/comparison.h"
#include "nn/check/other_devices.h"
#include "nn/ops/activation.h"

namespace vktrain::nn {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// An operation of a case with the kernels that it could have.
struct Asked {
  const Operation* operation = nullptr;
  std::string name;                     // of the row
  std::vector<std::string> candidates;  // one that is empty where nothing was asked
  std::vector<VariantQuestion> questions;
};

std::string row_name(const Operation& operation, std::span<const VariantQuestion> questions) {
  if (!questions.empty()) return questions.front().family;
  std::string name(operation.kind());
  std::replace(name.begin(), name.end(), '_', ' ');
  if (const auto* forward = dynamic_cast<const ActivationForward*>(&operation)) {
    return fmt::format("{} {}", name, to_string(forward->activation().kind));
  }
  if (const auto* backward = dynamic_cast<const ActivationBackward*>(&operation)) {
    return fmt::format("{} {}", name, to_string(backward->activation().kind));
  }
  return name;
}

struct Lowered {
  std::vector<PlannedDispatch> dispatches;
  std::vector<VariantQuestion> questions;
};

Lowered lower(const Operation& operation, const CaseGraph& ops, std::int64_t batch,
              const runtime::DeviceProfile& profile, const VariantChoices* choices = nullptr) {
  Lowering lowering(ops.graph, ParameterLayout(ops.parameters), profile, batch, 1, choices);
  operation.lower(lowering);
  return {lowering.take_dispatches(), lowering.take_questions()};
}

// Operations that only name the same memory anew have no dispatch, and the chain's end neither.
std::vector<Asked> ask(const CaseGraph& ops, std::int64_t batch,
                       const runtime::DeviceProfile& profile) {
  std::vector<Asked> all;
  for (const auto& operation : ops.graph.operations()) {
    Lowered lowered = lower(*operation, ops, batch, profile);
    if (lowered.dispatches.empty()) continue;
    Asked asked = {.operation = operation.get(),
                   .name = row_name(*operation, lowered.questions),
                   .candidates = {""},
                   .questions = std::move(lowered.questions)};
    if (!asked.questions.empty()) asked.candidates = asked.questions.front().candidates;
    all.push_back(std::move(asked));
  }
  return all;
}

// Rows in the order in which they were first met.
class Rows {
 public:
  CheckRow& at(const std::string& operation, const std::string& candidate) {
    const std::string variant = row_variant(candidate);
    const auto [place, added] = index_.try_emplace({operation, variant}, rows_.size());
    if (added) {
      rows_.push_back({.group = "operation", .operation = operation, .variant = variant});
    }
    return rows_[place->second];
  }
  bool has(const std::string& operation, const std::string& candidate) const {
    return index_.contains({operation, row_variant(candidate)});
  }
  std::vector<CheckRow> take() { return std::move(rows_); }

 private:
  std::vector<CheckRow> rows_;
  std::map<std::pair<std::string, std::string>, std::size_t> index_;
};

void add_discrepancy(CheckRow& row, const Discrepancy& d) {
  if (!row.error) row.error.emplace();
  Discrepancy worst;
  worst.ulp = row.error->ulp;
  worst.limit_ulp = row.error->limit_ulp;
  if (row.error->limit_ulp == 0 || d.share() > worst.share()) {
    row.error->ulp = d.ulp;
    row.error->limit_ulp = d.limit_ulp;
  }
  row.error->relative = std::max(row.error->relative, d.relative);
}

// CPU drivers take long to compile, and those of convolutions for each shape anew: the kernels that
// a case would not get without a tuner run the first cases that have them, and those that only
// other devices get fewer.
constexpr std::uint64_t kCasesOfAlternatives = 6, kCasesOfOthers = 2;

bool counts(const runtime::DeviceProfile& own, std::size_t candidate, const CheckRow& row) {
  return own.kind != runtime::DeviceKind::cpu || candidate == 0 || row.cases < kCasesOfAlternatives;
}

bool counts_for_other(const Asked& asked, const CheckRow& row) {
  return !asked.questions.empty() && row.cases < kCasesOfOthers;
}

// One case in as many rounds as the operation with the most kernels has kernels.
class CaseCheck {
 public:
  // With `other`, the kernels that this device gets.
  CaseCheck(runtime::Device& device, const CheckOptions& options, const CatalogueCase& c,
            Rows& rows, const OtherDevice* other = nullptr)
      : device_(&device),
        options_(&options),
        case_(&c),
        rows_(&rows),
        other_(other),
        profile_(other ? other->profile : device.profile()),
        ops_(c.operation),
        asked_(ask(ops_, c.operation.batch, profile_)) {
    if (other) ops_.plan_for = profile_;
  }

  void run() {
    std::size_t rounds = 0;
    for (const Asked& asked : asked_) rounds = std::max(rounds, asked.candidates.size());
    for (std::size_t round = 0; round < rounds; ++round) {
      fresh_.clear();
      for (const Asked& asked : asked_) {
        if (round >= asked.candidates.size()) continue;
        CheckRow& row = rows_->at(asked.name, asked.candidates[round]);
        const bool needed = other_ ? counts_for_other(asked, row) : counts(profile_, round, row);
        if (needed && options_->wants(row)) fresh_[asked.operation] = &asked;
      }
      if (!fresh_.empty()) run_round(round);
    }
  }

 private:
  // Operations whose results do not count take the proposal, which is compiled already.
  std::size_t candidate_of(const Asked& asked, std::size_t round) const {
    return fresh_.contains(asked.operation) ? round : 0;
  }

  CheckRow& row_of(const Asked& asked, std::size_t round) {
    return rows_->at(asked.name, asked.candidates[candidate_of(asked, round)]);
  }

  void run_round(std::size_t round) {
    try {
      const auto variants = compiling_variants(round);
      if (!variants) return;
      CaseRun run(*device_, ops_, case_->operation.batch, 1, 0, variants);
      ReferenceMemory memory = reference_memory(ops_, case_->operation.batch, 0);
      for (std::uint32_t i = 0; i < case_->operation.runs; ++i) {
        run.run();
        compare(round, run, memory);
      }
    } catch (const std::exception& error) {
      for (const auto& [operation, asked] : fresh_)
        fail(row_of(*asked, round), with_case(error.what()));
    }
    for (const auto& [operation, asked] : fresh_) ++row_of(*asked, round).cases;
  }

  void compare(std::size_t round, const CaseRun& run, ReferenceMemory& memory) {
    const auto wanted = [this](const Operation& operation) { return fresh_.contains(&operation); };
    for (const OutputComparison& output :
         compare_operations(case_->operation, ops_, run, 0, memory, wanted)) {
      CheckRow& row = row_of(*fresh_.at(output.operation), round);
      add_discrepancy(row, output.worst);
      if (!output.worst.within()) fail(row, with_case(to_string(output, ops_.graph)));
    }
    const std::optional<ValueId> wrong = wrong_padding(ops_, run, 0);
    if (!wrong) return;
    for (const auto& [operation, asked] : fresh_) {
      if (std::ranges::count(operation->outputs(), *wrong) == 0) continue;
      fail(row_of(*asked, round),
           with_case(fmt::format("{}: the padding of rows is not 0 or not finite",
                                 ops_.graph.value(*wrong).name)));
    }
  }

  std::string with_case(std::string_view text) const {
    return fmt::format("{}: {}", case_->name, text);
  }

  // The kernels of a round; an operation whose kernel does not compile takes another one, so that
  // the rest of the graph can run, and its row fails. Null: it has none that compiles.
  std::shared_ptr<const VariantChoices> compiling_variants(std::size_t round) {
    VariantChoices choices;
    for (const Asked& asked : asked_) choose(choices, asked, candidate_of(asked, round));
    if (compile_all(choices)) return std::make_shared<const VariantChoices>(std::move(choices));
    for (const Asked& asked : asked_) {
      const std::string why = compile_error(asked, choices);
      if (why.empty()) continue;
      fail(row_of(asked, round), with_case(why));
      fresh_.erase(asked.operation);
      if (!choose_another(choices, asked)) return nullptr;
    }
    return std::make_shared<const VariantChoices>(std::move(choices));
  }

  static void choose(VariantChoices& choices, const Asked& asked, std::size_t candidate) {
    for (const VariantQuestion& question : asked.questions) {
      choices.answer(question.family, question.shape,
                     question.candidates[std::min(candidate, question.candidates.size() - 1)]);
    }
  }

  bool choose_another(VariantChoices& choices, const Asked& asked) {
    for (std::size_t i = 0; i < asked.candidates.size(); ++i) {
      choose(choices, asked, i);
      if (compile_error(asked, choices).empty()) return true;
    }
    return false;
  }

  std::vector<runtime::KernelKey> kernels_of(const Asked& asked, const VariantChoices& choices) {
    std::vector<runtime::KernelKey> keys;
    for (const PlannedDispatch& dispatch :
         lower(*asked.operation, ops_, case_->operation.batch, profile_, &choices).dispatches) {
      keys.push_back({dispatch.shader, dispatch.constants});
    }
    return keys;
  }

  bool compile_all(const VariantChoices& choices) {
    std::vector<runtime::KernelKey> keys;
    for (const Asked& asked : asked_) {
      std::ranges::move(kernels_of(asked, choices), std::back_inserter(keys));
    }
    try {
      device_->kernels().prepare(keys);
      return true;
    } catch (const std::exception&) {  // comes again where it belongs to an operation
      return false;
    }
  }

  std::string compile_error(const Asked& asked, const VariantChoices& choices) {
    for (const runtime::KernelKey& key : kernels_of(asked, choices)) {
      std::string why;
      if (!device_->kernels().try_prepare(key, &why)) return why;
    }
    return {};
  }

  runtime::Device* device_;
  const CheckOptions* options_;
  const CatalogueCase* case_;
  Rows* rows_;
  const OtherDevice* other_;
  runtime::DeviceProfile profile_;
  CaseGraph ops_;
  std::vector<Asked> asked_;
  std::map<const Operation*, const Asked*> fresh_;  // whose results count in this round
};

// Kernels that other devices get and this one cannot run, or nobody asked it to.
void add_skipped(Rows& rows, const OtherDevice& other, const CatalogueCase& c) {
  const CaseGraph ops(c.operation);
  for (const Asked& asked : ask(ops, c.operation.batch, other.profile)) {
    for (const std::string& candidate : asked.candidates) {
      if (rows.has(asked.name, candidate)) continue;
      CheckRow& row = rows.at(asked.name, candidate);
      row.result = CheckResult::skipped;
      row.why = other.why_not;
    }
  }
}

std::vector<CheckRow> wanted_rows(Rows& rows, const CheckOptions& options) {
  std::vector<CheckRow> all = rows.take();
  std::erase_if(all, [&](const CheckRow& row) { return !options.wants(row); });
  return all;
}

}  // namespace

bool CheckOptions::wants(const CheckRow& row) const {
  return lower(row.name()).find(lower(filter)) != std::string::npos;
}

std::string row_variant(const std::string& candidate) {
  constexpr std::string_view kSplit = " split ";
  const std::size_t place = candidate.find(kSplit);
  if (place == std::string::npos) return candidate;
  const std::size_t end = candidate.find_first_not_of("0123456789", place + kSplit.size());
  return candidate.substr(0, place + kSplit.size() - 1) +
         (end == std::string::npos ? "" : candidate.substr(end));
}

std::vector<CheckRow> list_operations(const runtime::Device& device, const CheckOptions& options,
                                      std::span<const CatalogueCase> catalogue) {
  Rows rows;
  const auto count = [&](const CatalogueCase& c, const runtime::DeviceProfile& profile, bool own) {
    const CaseGraph ops(c.operation);
    for (const Asked& asked : ask(ops, c.operation.batch, profile)) {
      for (std::size_t i = 0; i < asked.candidates.size(); ++i) {
        CheckRow& row = rows.at(asked.name, asked.candidates[i]);
        if (own ? counts(profile, i, row) : counts_for_other(asked, row)) ++row.cases;
      }
    }
  };
  for (const CatalogueCase& c : catalogue) count(c, device.profile(), true);
  for (const OtherDevice& other : other_devices(device.profile())) {
    for (const CatalogueCase& c : catalogue) {
      other.runs_here ? count(c, other.profile, false) : add_skipped(rows, other, c);
    }
  }
  return wanted_rows(rows, options);
}

std::vector<CheckRow> check_operations(runtime::Device& device, const CheckOptions& options,
                                       std::span<const CatalogueCase> catalogue) {
  Rows rows;
  const auto run = [&](const CatalogueCase& c, const OtherDevice* other) {
    options.progress(c.name);
    try {
      CaseCheck(device, options, c, rows, other).run();
    } catch (const std::exception& error) {  // it cannot even be planned
      fail(rows.at("plan", ""), fmt::format("{}: {}", c.name, error.what()));
    }
  };
  for (const CatalogueCase& c : catalogue) run(c, nullptr);
  for (const OtherDevice& other : other_devices(device.profile())) {
    for (const CatalogueCase& c : catalogue) {
      other.runs_here ? run(c, &other) : add_skipped(rows, other, c);
    }
  }
  std::vector<CheckRow> all = wanted_rows(rows, options);
  for (CheckRow& row : all) {
    if (row.result != CheckResult::not_run) continue;
    row.result = row.cases > 0 ? CheckResult::pass : CheckResult::skipped;
    if (row.cases == 0) row.why = "no case with it could run, because other kernels failed";
  }
  return all;
}

}  // namespace vktrain::nn
