// Candidates of one question against each other: times on the device, and the check that a kernel's
// results are those of the double-precision reference.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/tuning/variant_choices.h"
#include "runtime/device.h"

namespace vktrain::nn {

using TuningLog = std::function<void(const std::string&)>;

struct ContestOptions {
  // Every candidate runs once in each, so that noise hits all; after the first those only that are
  // not far behind.
  std::uint32_t rounds = 3;
  double seconds_per_round = 0.01;  // that a candidate runs in each
  // Looked at before every compilation and measurement. What has begun runs to its end.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

struct ContestTimes {
  // Seconds of one run by candidate, the least of all rounds: processor time of this process on a
  // CPU device, which others' work disturbs less, else time by the clock. Absent: it did not run,
  // for which the log has the reason, or the deadline came first.
  std::vector<std::optional<double>> seconds;
  std::vector<std::string> problems;  // by candidate: why it does not run; empty where it does
  bool complete = true;               // false: the deadline came before the last round's end
};
// Throws DeviceLostError when the device is lost.
ContestTimes time_candidates(runtime::Device& device, const VariantQuestion& question,
                             const ContestOptions& options, const TuningLog& log);

// Indices of the candidates that ran, in the order in which they should be taken: the fastest
// first, but the proposal (index 0) before candidates that are faster by less than the margin
// (0.03: 3 %).
std::vector<std::size_t> rank_candidates(std::span<const std::optional<double>> seconds,
                                         double margin);

// Runs a candidate on the question's small probe and compares every result with the reference.
// Returns what is wrong; empty when it is right. Throws what planning and running throw.
std::string verify_candidate(runtime::Device& device, const VariantQuestion& question,
                             std::size_t candidate);

}  // namespace vktrain::nn
