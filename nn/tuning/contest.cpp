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

// Compiles what all candidates need, at once. What fails is told when its candidate runs.
void compile(runtime::Device& device, const SingleOperation& single,
             const VariantQuestion& question) {
  std::vector<runtime::KernelKey> keys;
  for (const std::string& candidate : question.candidates) {
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

double seconds_of(const runtime::Device& device, Executable& executable, double seconds) {
  const Measurement measurement =
      measure(executable, {.warmup = 1, .repetitions = 1, .min_seconds = seconds});
  const bool cpu = device.profile().kind == runtime::DeviceKind::cpu;
  return (cpu ? measurement.cpu : measurement.wall).front();
}

// Candidates that took longer are not timed again.
double hopeless(std::span<const std::optional<double>> seconds) {
  constexpr double kTimesTheBest = 1.5;
  double best = std::numeric_limits<double>::infinity();
  for (const std::optional<double>& time : seconds) best = std::min(best, time.value_or(best));
  return kTimesTheBest * best;
}

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
// of partial sums, which grow themselves, like K.
double allowed_error(const SingleOperation& single, std::size_t results, double reference) {
  const double k = single.flops / 2 / static_cast<double>(results);
  return 0x1p-24 * (8 * std::abs(reference) + 8 + 4 * std::sqrt(k) + k / 2);
}

std::string compare(SingleOperation& single, const Executable& executable) {
  ReferenceMemory memory(single.graph, 1);
  for (std::size_t i = 0; i < single.operands.size(); ++i) {
    const std::vector<float> values = operand_values(single, i, kSeed);
    memory[single.operands[i]].assign(values.begin(), values.end());
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

std::vector<std::optional<double>> time_candidates(runtime::Device& device,
                                                   const VariantQuestion& question,
                                                   const ContestOptions& options,
                                                   const TuningLog& log) {
  std::vector<std::optional<double>> seconds(question.candidates.size());
  const std::unique_ptr<SingleOperation> single = question.probe(ProbeSize::whole);
  // One that fails later stays, too: the first one owns the operands.
  std::vector<std::unique_ptr<Runner>> runners(question.candidates.size());
  std::vector<bool> runs(question.candidates.size());
  std::map<ValueId, runtime::Slice> operands;
  const auto attempt = [&](std::size_t i, const auto& action) {
    try {
      action();
      runs[i] = true;
    } catch (const std::exception& error) {
      log(fmt::format("{} {}: \"{}\" does not run: {}", question.family, question.shape,
                      question.candidates[i], error.what()));
      runs[i] = false;
      seconds[i].reset();
    }
  };
  try {
    compile(device, *single, question);
  } catch (const std::exception&) {  // comes again below, where it belongs to a candidate
  }
  constexpr std::size_t kLeast = 2;  // one alone is no contest
  for (std::size_t i = 0; i < runners.size(); ++i) {
    if (i >= kLeast && Clock::now() > options.deadline) break;
    attempt(i, [&] {
      PlanOptions plan;
      plan.variants = forced(question, question.candidates[i]);
      runners[i] = std::make_unique<Runner>(device, *single, plan, operands);
      if (operands.empty()) operands = runners[i]->operands();
      runners[i]->executable().run();  // some drivers compile only now
    });
  }
  for (std::uint32_t round = 0; round < options.rounds; ++round) {
    const double limit = hopeless(seconds);
    for (std::size_t i = 0; i < runners.size(); ++i) {
      if (!runs[i] || (seconds[i] && *seconds[i] > limit)) continue;
      attempt(i, [&] {
        const double now = seconds_of(device, runners[i]->executable(), options.seconds_per_round);
        seconds[i] = std::min(now, seconds[i].value_or(now));
      });
    }
  }
  return seconds;
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
