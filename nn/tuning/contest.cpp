#include "nn/tuning/contest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <memory>
#include <numeric>

#include "nn/operation.h"
#include "nn/reference/reference_memory.h"
#include "nn/tuning/measure.h"
#include "nn/tuning/single_operation.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

constexpr std::uint64_t kSeed = 7;  // of the operands

using Clock = std::chrono::steady_clock;

std::shared_ptr<const VariantChoices> forced(const VariantQuestion& question,
                                             const std::string& candidate) {
  VariantChoices choices;
  choices.answer(question.family, question.shape, candidate);
  return std::make_shared<const VariantChoices>(std::move(choices));
}

// The probe as one candidate does it. Operands may be those of another runner of the same graph.
class Runner {
 public:
  Runner(runtime::Device& device, SingleOperation& single, const PlanOptions& options,
         const std::map<ValueId, runtime::Slice>& operands = {})
      : single_(&single),
        storage_(device, single.parameters, 1, 0),
        executable_(device, single.graph, storage_, options, operands) {
    // A result that is not written must not be one that another candidate left there.
    constexpr std::uint32_t kNaN = 0x7fc00000;
    device.fill(executable_.memory_of(single.result), kNaN);
    if (operands.empty()) fill_operands(single, executable_, kSeed);
  }

  std::map<ValueId, runtime::Slice> operands() const {
    std::map<ValueId, runtime::Slice> slices;
    for (const ValueId id : single_->operands) slices[id] = executable_.memory_of(id);
    return slices;
  }
  Executable& executable() { return executable_; }

 private:
  SingleOperation* single_;
  ParameterStorage storage_;
  Executable executable_;
};

// The first candidates, without the last resorts.
std::span<const std::string> contenders(const VariantQuestion& question) {
  return std::span(question.candidates).first(question.candidates.size() - question.last_resorts);
}

// Compiles what all contenders need, at once. What fails is told when its candidate runs.
void compile(runtime::Device& device, const SingleOperation& single,
             const VariantQuestion& question) {
  std::vector<runtime::KernelKey> keys;
  for (const std::string& candidate : contenders(question)) {
    PlanOptions options;
    options.variants = forced(question, candidate);
    const Plan plan(single.graph, ParameterLayout(single.parameters), device.profile(), options);
    for (const PlannedOperation& operation : plan.operations()) {
      for (const PlannedDispatch& dispatch : operation.dispatches) {
        keys.push_back({dispatch.shader, dispatch.constants});
      }
    }
  }
  device.kernels().prepare(keys);
}

// Candidates in turn: each runs once, because some drivers compile only then, once more to see
// whether it is far behind, and then in rounds.
class Contest {
 public:
  Contest(runtime::Device& device, const VariantQuestion& question, const ContestOptions& options,
          const TuningLog& log)
      : device_(&device),
        question_(&question),
        options_(&options),
        log_(&log),
        single_(question.probe(ProbeSize::whole)),
        runners_(question.candidates.size()),
        runs_(question.candidates.size()),
        trials_(question.candidates.size()) {
    times_.seconds.resize(question.candidates.size());
    times_.problems.resize(question.candidates.size());
  }

  ContestTimes run() {
    try {
      compile(*device_, *single_, *question_);
    } catch (const DeviceLostError&) {
      throw;
    } catch (const std::exception&) {  // comes again in start(), where it belongs to a candidate
    }
    for (std::size_t i = 0; i < contenders(*question_).size(); ++i) {
      attempt(i, [&] { start(i); });
      if (runs_[i]) attempt(i, [&] { trial(i); });
    }
    for (std::uint32_t round = 0; round < options_->rounds; ++round) {
      const double limit = hopeless();
      for (std::size_t i = 0; i < runners_.size(); ++i) {
        if (!runs_[i] || !trials_[i] || times_.seconds[i].value_or(0) > limit) continue;
        attempt(i, [&] { record(i, seconds_of(i, is_long(i) ? 0 : options_->seconds_per_round)); });
      }
    }
    for (std::size_t i = 0; i < runners_.size(); ++i) {
      if (!times_.seconds[i]) times_.seconds[i] = trials_[i];
    }
    return std::move(times_);
  }

 private:
  template <class Action>
  void attempt(std::size_t i, const Action& action) {
    if (Clock::now() >= options_->deadline) times_.complete = false;
    if (!times_.complete) return;
    try {
      action();
      runs_[i] = true;
    } catch (const DeviceLostError&) {
      throw;  // no other candidate will run, either
    } catch (const std::exception& error) {
      (*log_)(fmt::format("{} {}: \"{}\" does not run: {}", question_->family, question_->shape,
                          question_->candidates[i], error.what()));
      times_.problems[i] = error.what();
      runs_[i] = false;
      trials_[i].reset();
      times_.seconds[i].reset();
    }
  }

  void start(std::size_t i) {
    PlanOptions plan;
    plan.variants = forced(*question_, question_->candidates[i]);
    runners_[i] = std::make_unique<Runner>(*device_, *single_, plan, operands_);
    if (operands_.empty()) operands_ = runners_[i]->operands();
    runners_[i]->executable().run();
  }

  // One run tells that a candidate is slow only if it takes as long as a round.
  void trial(std::size_t i) {
    trials_[i] = seconds_of(i, 0);
    if (is_long(i)) record(i, *trials_[i]);
  }

  bool is_long(std::size_t i) const { return *trials_[i] >= options_->seconds_per_round; }

  double seconds_of(std::size_t i, double seconds) {
    const Measurement measurement =
        measure(runners_[i]->executable(), {.warmup = 0, .repetitions = 1, .min_seconds = seconds});
    const bool cpu = device_->profile().kind == runtime::DeviceKind::cpu;
    return (cpu ? measurement.cpu : measurement.wall).front();
  }

  void record(std::size_t i, double now) {
    times_.seconds[i] = std::min(now, times_.seconds[i].value_or(now));
  }

  // Candidates that took longer are not timed again.
  double hopeless() const {
    constexpr double kTimesTheBest = 1.5;
    double best = std::numeric_limits<double>::infinity();
    for (const auto& time : times_.seconds) best = std::min(best, time.value_or(best));
    for (const auto& time : trials_) best = std::min(best, time.value_or(best));
    return kTimesTheBest * best;
  }

  runtime::Device* device_;
  const VariantQuestion* question_;
  const ContestOptions* options_;
  const TuningLog* log_;
  std::unique_ptr<SingleOperation> single_;
  // One that fails later stays, too: the first one owns the operands.
  std::vector<std::unique_ptr<Runner>> runners_;
  std::vector<bool> runs_;
  std::vector<std::optional<double>> trials_;  // seconds of one run
  std::map<ValueId, runtime::Slice> operands_;
  ContestTimes times_;
};

// "tiled 64x64" of "tiled 64x64 split 8": smaller sizes may be split into fewer parts.
std::string without_split(const std::string& name) { return name.substr(0, name.find(" split")); }

// What the small probe asks, and the candidate there that is the same kernel.
std::shared_ptr<const VariantChoices> same_kernel(const runtime::Device& device,
                                                  const SingleOperation& single,
                                                  const VariantQuestion& question,
                                                  const std::string& name) {
  const Plan plan(single.graph, ParameterLayout(single.parameters), device.profile(), {});
  for (const VariantQuestion& small : plan.questions()) {
    if (small.family != question.family) continue;
    if (std::ranges::count(small.candidates, name) > 0) return forced(small, name);
    for (const std::string& other : small.candidates) {
      if (without_split(other) == without_split(name)) return forced(small, other);
    }
  }
  return nullptr;
}

// Sums of K products of numbers below 1: the terms' roundings grow like the square root of K, those
// of partial sums, which grow themselves, like K. Wide enough that no sound kernel fails among
// millions of results; one product too few or too many is a hundred times as much.
double allowed_error(const SingleOperation& single, std::size_t results, double reference) {
  const double k = single.flops / 2 / static_cast<double>(results);
  return 0x1p-24 * (8 * std::abs(reference) + 8 + 4 * std::sqrt(k) + 4 * k);
}

std::string compare(SingleOperation& single, const Executable& executable) {
  ReferenceMemory memory(single.graph, 1);
  for (std::size_t i = 0; i < single.operands.size(); ++i) {
    memory[single.operands[i]] = reference_values(single, i, kSeed);
  }
  run_reference(single.graph, memory);
  const std::vector<double>& expected = memory[single.result];
  const std::vector<float> found = executable.read(single.result);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double limit = allowed_error(single, expected.size(), expected[i]);
    // Written so that a NaN fails.
    if (std::abs(found[i] - expected[i]) <= limit) continue;
    return fmt::format("element {} is {:.9g} instead of {:.9g}", i, found[i], expected[i]);
  }
  return {};
}

}  // namespace

ContestTimes time_candidates(runtime::Device& device, const VariantQuestion& question,
                             const ContestOptions& options, const TuningLog& log) {
  return Contest(device, question, options, log).run();
}

std::vector<std::size_t> rank_candidates(std::span<const std::optional<double>> seconds,
                                         double margin) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    if (seconds[i]) order.push_back(i);
  }
  const auto handicapped = [&](std::size_t i) {
    return i == 0 ? *seconds[i] * (1 - margin) : *seconds[i];
  };
  std::ranges::stable_sort(order, {}, handicapped);
  return order;
}

std::string verify_candidate(runtime::Device& device, const VariantQuestion& question,
                             std::size_t candidate) {
  const std::string& name = question.candidates.at(candidate);
  std::unique_ptr<SingleOperation> single = question.probe(ProbeSize::small);
  PlanOptions plan;
  plan.variants = same_kernel(device, *single, question, name);
  if (!plan.variants) {  // it does not do such small sizes
    single = question.probe(ProbeSize::whole);
    plan.variants = forced(question, name);
  }
  Runner runner(device, *single, plan);
  runner.executable().run();
  return compare(*single, runner.executable());
}

}  // namespace vktrain::nn
