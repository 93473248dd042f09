#include "nn/tuning/tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <vector>

#include "nn/tuning/compile_plan.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

using Clock = std::chrono::steady_clock;

constexpr ContestOptions kFullContest = {.rounds = 7, .seconds_per_round = 0.05};

VariantChoices::Key key_of(const VariantQuestion& question) {
  return {question.family, question.shape};
}

bool is_candidate(const VariantQuestion& question, const TunedKernel& kernel) {
  return std::ranges::count(question.candidates, kernel.name) > 0;
}

bool is_alone(const VariantQuestion& question) { return question.candidates.size() == 1; }

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
    text += fmt::format(", {} more not measured to the end (--tune full does)", summary.unmeasured);
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

bool Tuner::is_answered(const VariantQuestion& question) const {
  const auto known = kernels_.find(key_of(question));
  return known != kernels_.end() && is_candidate(question, known->second);
}

bool Tuner::needs_measuring(const VariantQuestion& question) const {
  if (!question.probe || (is_alone(question) && !question.check_alone)) return false;
  if (!is_answered(question)) return true;
  return options_.mode == TuningMode::full && !kernels_.at(key_of(question)).measured;
}

TunedKernel Tuner::winner(const VariantQuestion& question, const ContestOptions& options) {
  const bool alone = is_alone(question);
  const ContestTimes times = alone ? ContestTimes{.seconds = {std::nullopt}, .problems = {""}}
                                   : time_candidates(*device_, question, options, log_);
  std::vector<std::size_t> order = rank_candidates(times.seconds, options_.margin);
  for (std::size_t i = 0; i < question.candidates.size(); ++i) {
    if (!times.seconds[i] && times.problems[i].empty()) order.push_back(i);
  }
  std::string problem = times.problems.front();
  for (const std::size_t i : order) {
    std::string_view verdict = "WRONG RESULTS";
    try {
      problem = verify_candidate(*device_, question, i);
    } catch (const DeviceLostError&) {
      throw;
    } catch (const std::exception& error) {
      verdict = "not checked";
      problem = error.what();
    }
    if (problem.empty()) {
      return {question.candidates[i], alone || (times.complete && times.seconds[i].has_value())};
    }
    log_(fmt::format("{}: \"{}\" for {} {} is not used on {}: {}", verdict, question.candidates[i],
                     question.family, question.shape, device_->profile().name, problem));
  }
  throw DeviceError(fmt::format(
      "{} {}: expected a kernel whose results on {} ({} {}) equal the reference, found none among "
      "{} candidates (the last one: {}); take another device or driver, or go on at your own risk "
      "with --tune off.",
      question.family, question.shape, device_->profile().name, device_->profile().driver_name,
      device_->profile().driver_info, question.candidates.size(), problem));
}

void Tuner::measure(const Questions& questions) {
  const double left = budget_left();
  const auto start = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  for (const VariantQuestion* question : questions) {
    ContestOptions contest = options_.mode == TuningMode::full ? kFullContest : ContestOptions{};
    contest.deadline = start + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(std::min(left, 1e6)));
    TunedKernel kernel = {question->candidates.front(), false};
    if (passed() < left) kernel = winner(*question, contest);
    ++(kernel.measured ? summary_.measured : summary_.unmeasured);
    kernels_[key_of(*question)] = kernel;
  }
  summary_.seconds += passed();
}

void Tuner::remember(const Questions& questions, const TunedKernels& outdated) {
  const std::optional<TunedKernels> held = store_.save(kernels_, outdated);
  summary_.remembered = held.has_value();
  if (!store_.problem().empty()) log_(store_.problem());
  if (!held) return;
  // Answers to earlier questions stay: they may be in use.
  for (const VariantQuestion* question : questions) {
    const TunedKernel& kernel = held->at(key_of(*question));
    if (is_candidate(*question, kernel)) kernels_[key_of(*question)] = kernel;
  }
}

std::shared_ptr<const VariantChoices> Tuner::choices_for(
    std::span<const VariantQuestion> questions) {
  if (options_.mode != TuningMode::off) {
    Questions open;
    TunedKernels outdated;
    for (const VariantQuestion& question : questions) {
      if (!needs_measuring(question)) continue;
      open.push_back(&question);
      const auto known = kernels_.find(key_of(question));
      if (known != kernels_.end() && !is_answered(question)) outdated.insert(*known);
    }
    std::ranges::stable_sort(open, std::greater{}, &VariantQuestion::flops);
    if (!open.empty()) {
      measure(open);
      remember(open, outdated);
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
  // An answer may lead to other questions: until a plan asks nothing new. What the last plan does
  // not ask any more is not used.
  const auto used_before = used_;
  options.variants = nullptr;
  for (bool first = true;; first = false) {
    const Plan plan(graph, parameters, device_->profile(), options);
    const bool answered = std::ranges::all_of(plan.questions(), [this](const auto& question) {
      return used_.contains(key_of(question));
    });
    if (answered && !first) {
      plan.check_workgroups(device_->profile());  // before its kernels are compiled
      break;
    }
    options.variants = choices_for(plan.questions());
  }
  options.variants = compile_plan(*device_, graph, parameters, options, log_);
  const Plan plan(graph, parameters, device_->profile(), options);
  auto used = used_before;
  for (const VariantQuestion& question : plan.questions()) {
    const VariantChoices::Key key = key_of(question);
    const std::string& taken = question.candidates[options.variants->choose(question)];
    const auto chosen = used_.find(key);
    if (chosen != used_.end() && chosen->second != taken) kernels_[key] = {taken, false};
    used[key] = taken;
  }
  used_ = std::move(used);
  return options;
}

PlanOptions tuned_options(Tuner* tuner, const Graph& graph, const ParameterLayout& parameters,
                          PlanOptions options) {
  if (tuner) return tuner->tuned(graph, parameters, std::move(options));
  return options;
}

}  // namespace vktrain::nn
