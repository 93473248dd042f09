// Finds the fastest kernels for the shapes of a plan by measuring them on the device, within a
// budget of time; checks the winners against the double-precision reference, and remembers them.
//
// What the budget left no time for is remembered too: as the device profile's proposal, or, where
// it ran out in a contest, as the fastest so far. So a second run takes the same kernels, and with
// them the same order of every sum, as the first; mode `full` measures these anew.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/plan.h"
#include "nn/tuning/contest.h"
#include "nn/tuning/tuning_store.h"
#include "nn/tuning/variant_choices.h"

namespace vktrain::nn {

enum class TuningMode {
  off,    // the proposals
  quick,  // measures what is not remembered, until the budget is spent
  full,   // also what quick did not measure to the end; longer, without a budget
};
std::optional<TuningMode> parse_tuning_mode(std::string_view text);

struct TuningOptions {
  TuningMode mode = TuningMode::off;
  double budget_seconds = 2.0;
  double margin = 0.03;  // by which a candidate must beat the proposal
  // Of the remembered kernels; absent: none are remembered.
  std::optional<std::filesystem::path> cache_folder = std::nullopt;
};

struct TuningSummary {
  std::size_t measured = 0;    // questions
  std::size_t unmeasured = 0;  // for which the budget left no time, or not enough
  double seconds = 0;
  bool remembered = false;
};
// "tuned 9 kernels in 1.8 s; remembered for this device"; empty when nothing was asked.
std::string to_string(const TuningSummary& summary);

class Tuner {
 public:
  // The device must outlive the tuner. `log` is told of kernels that fail and files that are
  // ignored.
  Tuner(runtime::Device& device, const TuningOptions& options, TuningLog log = nullptr);

  // The budget and the summary begin anew, the kernels stay: a training or evaluation starts.
  void begin();

  // Answers to these questions and to all before them. Throws DeviceError when no kernel for one of
  // them computes what the reference does; then nothing of it is remembered.
  std::shared_ptr<const VariantChoices> choices_for(std::span<const VariantQuestion> questions);
  // Plans the graph, asks, puts the answers into the options and compiles the kernels. In every
  // mode one that the driver does not compile is told and replaced by the next candidate.
  PlanOptions tuned(const Graph& graph, const ParameterLayout& parameters, PlanOptions options);

  // Since the beginning.
  const TuningSummary& summary() const { return summary_; }
  // The kernels of all questions since the beginning, tuned or proposed.
  const std::map<VariantChoices::Key, std::string>& used() const { return used_; }
  const TuningOptions& options() const { return options_; }

 private:
  using Questions = std::vector<const VariantQuestion*>;  // never null

  bool is_answered(const VariantQuestion& question) const;
  bool needs_measuring(const VariantQuestion& question) const;
  void measure(const Questions& questions);
  TunedKernel winner(const VariantQuestion& question, const ContestOptions& options);
  void remember(const Questions& questions, const TunedKernels& outdated);
  double budget_left() const;

  runtime::Device* device_;
  TuningOptions options_;
  TuningLog log_;
  TuningStore store_;
  TunedKernels kernels_;
  std::map<VariantChoices::Key, std::string> used_;
  TuningSummary summary_;
};

// Without a tuner the options as they are.
PlanOptions tuned_options(Tuner* tuner, const Graph& graph, const ParameterLayout& parameters,
                          PlanOptions options);

}  // namespace vktrain::nn
