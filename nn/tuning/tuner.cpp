#include "nn/tuning/tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <vector>

namespace vktrain::nn {
namespace {

using Clock = std::chrono::steady_clock;

constexpr ContestOptions kFullContest = {.rounds = 7, .seconds_per_round = 0.05};

VariantChoices::Key key_of(const VariantQuestion& question) {
  return {question.family, question.shape};
}

VariantChoices choices_of(const TunedKernels& kernels) {
  VariantChoices choices;
  for (const auto& [key, kernel] : kernels) choices.answer(key.first, key.second, kernel.name);
  return choices;
}

}  // namespace

std::optional<TuningMode> parse_tuning_mode(std::string_view text) {
  if (text == "off") return TuningMode::off;
  if (text == "quick") return TuningMode::quick;
  if (text == "full") return TuningMode::full;
  return std::nullopt;
}

std::string to_string(const TuningSummary& summary) {
  if (summary.measured + summary.unmeasured == 0) return {};
  std::string text = fmt::format("tuned {} kernel{} in {:.1f} s", summary.measured,
                                 summary.measured == 1 ? "" : "s", summary.seconds);
  if (summary.unmeasured > 0) {
    text += fmt::format(", {} more as proposed (--tune full measures them)", summary.unmeasured);
  }
  return text + (summary.remembered ? "; remembered for this device" : "; not remembered");
}

Tuner::Tuner(runtime::Device& device, const TuningOptions& options, TuningLog log)
    : device_(&device),
      options_(options),
      log_(log ? std::move(log) : [](const std::string&) {}),
      store_(options.cache_folder, device.profile()) {
  if (options_.mode == TuningMode::off) return;
  kernels_ = store_.load();
  if (!store_.problem().empty()) log_(store_.problem());
}

void Tuner::begin() {
  summary_ = {};
  used_.clear();
}

double Tuner::budget_left() const {
  if (options_.mode == TuningMode::full) return 1e9;
  return options_.budget_seconds - summary_.seconds;
}

bool Tuner::needs_measuring(const VariantQuestion& question) const {
  if (question.candidates.size() < 2 || !question.probe) return false;
  const auto known = kernels_.find(key_of(question));
  const bool answered =
      known != kernels_.end() && std::ranges::count(question.candidates, known->second.name) > 0;
  return !answered || (options_.mode == TuningMode::full && !known->second.measured);
}

std::optional<std::size_t> Tuner::winner(const VariantQuestion& question,
                                         const ContestOptions& options) {
  const auto seconds = time_candidates(*device_, question, options, log_);
  for (const std::size_t i : rank_candidates(seconds, options_.margin)) {
    std::string problem;
    try {
      problem = verify_candidate(*device_, question, i);
    } catch (const std::exception& error) {
      problem = error.what();
    }
    if (problem.empty()) return i;
    log_(fmt::format("WRONG RESULTS: \"{}\" for {} {} is not used on {}: {}",
                     question.candidates[i], question.family, question.shape,
                     device_->profile().name, problem));
  }
  return std::nullopt;
}

void Tuner::measure(std::span<const VariantQuestion* const> questions) {
  const double left = budget_left();
  const auto start = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  for (const VariantQuestion* question : questions) {
    ContestOptions contest = options_.mode == TuningMode::full ? kFullContest : ContestOptions{};
    contest.deadline = start + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(std::min(left, 1e6)));
    TunedKernel& kernel = kernels_[key_of(*question)];
    kernel = {question->candidates.front(), false};
    std::optional<std::size_t> best;
    if (passed() < left) best = winner(*question, contest);
    if (!best) {
      ++summary_.unmeasured;
      continue;
    }
    kernel = {question->candidates[*best], true};
    ++summary_.measured;
  }
  summary_.seconds += passed();
}

std::shared_ptr<const VariantChoices> Tuner::choices_for(
    std::span<const VariantQuestion> questions) {
  if (options_.mode != TuningMode::off) {
    std::vector<const VariantQuestion*> open;
    for (const VariantQuestion& question : questions) {
      if (needs_measuring(question)) open.push_back(&question);
    }
    std::ranges::stable_sort(open, std::greater{}, &VariantQuestion::flops);
    if (!open.empty()) {
      measure(open);
      summary_.remembered = store_.save(kernels_);
      if (!store_.problem().empty()) log_(store_.problem());
    }
  }
  auto choices = std::make_shared<const VariantChoices>(choices_of(kernels_));
  for (const VariantQuestion& question : questions) {
    used_[key_of(question)] = question.candidates[choices->choose(question)];
  }
  return choices;
}

PlanOptions Tuner::tuned(const Graph& graph, const ParameterLayout& parameters,
                         PlanOptions options) {
  options.variants = nullptr;
  const Plan plan(graph, parameters, device_->profile(), options);
  options.variants = choices_for(plan.questions());
  return options;
}

PlanOptions tuned_options(Tuner* tuner, const Graph& graph, const ParameterLayout& parameters,
                          PlanOptions options) {
  if (tuner) return tuner->tuned(graph, parameters, std::move(options));
  return options;
}

}  // namespace vktrain::nn
