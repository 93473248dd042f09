#include "nn/check/case_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <optional>

#include "nn/check/comparison.h"
#include "nn/ops/activation.h"

namespace vktrain::nn {
namespace {

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
  const ParameterLayout layout(ops.parameters);
  Lowering lowering(ops.graph, layout, profile, batch, 1, choices);
  operation.lower(lowering);
  return {lowering.take_dispatches(), lowering.take_questions()};
}

void choose(VariantChoices& choices, const Asked& asked, std::size_t candidate) {
  for (const VariantQuestion& question : asked.questions) {
    choices.answer(question.family, question.shape,
                   question.candidates[std::min(candidate, question.candidates.size() - 1)]);
  }
}

// CPU drivers take long to compile, and those of convolutions for each shape anew: the kernels that
// a case would not get without a tuner run the first cases that have them, those that only other
// devices get fewer, and those that no tuner measures none unless all are asked for.
constexpr std::uint64_t kCasesOfAlternatives = 2, kCasesOfOthers = 2;

}  // namespace

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

bool counts(const runtime::DeviceProfile& own, const Asked& asked, std::size_t candidate,
            bool all_kernels, const CheckRow& row) {
  if (own.kind != runtime::DeviceKind::cpu || candidate == 0) return true;
  const std::size_t last_resorts =
      asked.questions.empty() ? 0 : asked.questions.front().last_resorts;
  const bool last_resort = candidate + last_resorts >= asked.candidates.size();
  return (all_kernels || !last_resort) && row.cases < kCasesOfAlternatives;
}

void count_case(CheckRow& row) {
  ++row.cases;
  row.why.clear();
}

void leave_out_case(CheckRow& row) {
  if (row.cases == 0) row.why = "a last resort of the tuner; --all-kernels runs it here";
}

bool counts_for_other(const Asked& asked, const CheckRow& row) {
  return !asked.questions.empty() && row.cases < kCasesOfOthers;
}

CaseCheck::CaseCheck(const runtime::DeviceProfile& own, const CheckOptions& options,
                     const CatalogueCase& c, OperationRows& planned, const OtherDevice* other)
    : case_(&c),
      other_(other),
      profile_(other ? other->profile : own),
      ops_(c.operation),
      asked_(ask(ops_, c.operation.batch, profile_)) {
  if (other) ops_.plan_for = profile_;
  std::size_t rounds = 0;
  for (const Asked& asked : asked_) rounds = std::max(rounds, asked.candidates.size());
  for (std::size_t round = 0; round < rounds; ++round) plan_round(round, options, planned);
}

bool CaseCheck::empty() const {
  return std::ranges::all_of(rounds_, [](const Fresh& fresh) { return fresh.empty(); });
}

void CaseCheck::run(runtime::Device& device, OperationRows& results) {
  device_ = &device;
  rows_ = &results;
  for (std::size_t round = 0; round < rounds_.size(); ++round) {
    fresh_ = rounds_[round];
    if (!fresh_.empty()) run_round(round);
  }
}

void CaseCheck::plan_round(std::size_t round, const CheckOptions& options, OperationRows& planned) {
  Fresh& fresh = rounds_.emplace_back();
  for (const Asked& asked : asked_) {
    if (round >= asked.candidates.size()) continue;
    CheckRow& row = planned.at(asked.name, asked.candidates[round]);
    const bool needed = other_ ? counts_for_other(asked, row)
                               : counts(profile_, asked, round, options.all_kernels, row);
    if (needed && options.wants(row)) fresh[asked.operation] = &asked;
    if (!needed && !other_) leave_out_case(row);
  }
  for (const auto& [operation, asked] : fresh) {
    count_case(planned.at(asked->name, asked->candidates[round]));
  }
}

// Operations whose results do not count take the proposal, which is compiled already.
std::size_t CaseCheck::candidate_of(const Asked& asked, std::size_t round) const {
  return fresh_.contains(asked.operation) ? round : 0;
}

CheckRow& CaseCheck::row_of(const Asked& asked, std::size_t round) {
  return rows_->at(asked.name, asked.candidates[candidate_of(asked, round)]);
}

void CaseCheck::run_round(std::size_t round) {
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

void CaseCheck::compare(std::size_t round, const CaseRun& run, ReferenceMemory& memory) {
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

std::string CaseCheck::with_case(std::string_view text) const {
  return fmt::format("{}: {}", case_->name, text);
}

// The kernels of a round; an operation whose kernel does not compile takes another one, so that
// the rest of the graph can run, and its row fails. Null: it has none that compiles.
std::shared_ptr<const VariantChoices> CaseCheck::compiling_variants(std::size_t round) {
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

bool CaseCheck::choose_another(VariantChoices& choices, const Asked& asked) {
  for (std::size_t i = 0; i < asked.candidates.size(); ++i) {
    choose(choices, asked, i);
    if (compile_error(asked, choices).empty()) return true;
  }
  return false;
}

std::vector<runtime::KernelKey> CaseCheck::kernels_of(const Asked& asked,
                                                      const VariantChoices& choices) {
  std::vector<runtime::KernelKey> keys;
  for (const PlannedDispatch& dispatch :
       lower(*asked.operation, ops_, case_->operation.batch, profile_, &choices).dispatches) {
    keys.push_back({dispatch.shader, dispatch.constants});
  }
  return keys;
}

bool CaseCheck::compile_all(const VariantChoices& choices) {
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

std::string CaseCheck::compile_error(const Asked& asked, const VariantChoices& choices) {
  for (const runtime::KernelKey& key : kernels_of(asked, choices)) {
    std::string why;
    if (!device_->kernels().try_prepare(key, &why)) return why;
  }
  return {};
}

}  // namespace vktrain::nn
