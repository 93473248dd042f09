// Every output of every operation of a case, as the device computed it, against the reference; see
// tolerance.h for what a ULP is here.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/check/operation_case.h"

namespace vktrain::nn {

// The element of an output that is nearest to its limit, or furthest past it.
struct Discrepancy {
  double ulp = 0;        // infinite for NaN and for an integer that differs
  double limit_ulp = 0;  // what was allowed
  // Of all elements: |device - reference| / largest magnitude of the output.
  double relative = 0;
  std::size_t element = 0;
  double device = 0;
  double reference = 0;

  bool within() const { return ulp <= limit_ulp; }
  // How much of the limit is used; infinite where nothing is allowed and something differs.
  double share() const;
};

// `reference` and `values` have the same size. Differences below 1e-37 count as none: a device may
// flush denormal numbers.
Discrepancy compare_values(std::span<const double> reference, std::span<const double> values,
                           DType dtype, const Tolerance& tolerance);

struct OutputComparison {
  const Operation* operation = nullptr;
  ValueId output = kNoValue;
  std::uint32_t slot = 0;  // of optimizer state, from 1; 0: the output itself
  Discrepancy worst;
};
std::string to_string(const OutputComparison& comparison, const Graph& graph);

// One pass over the operations after a run: loads what the device has, applies the reference,
// compares. Values that are updated in place are carried on in `memory`, which begins as
// reference_memory() and serves all runs of a case. `wanted`: which operations; null: all.
std::vector<OutputComparison> compare_operations(
    const OperationCase& c, const CaseGraph& ops, const CaseRun& run, std::uint32_t replica,
    ReferenceMemory& memory, const std::function<bool(const Operation&)>& wanted = nullptr);

// The padding of rows must be finite (not looked at with build_whole), and zero in parameters,
// gradients and states: the first value where it is not.
std::optional<ValueId> wrong_padding(const CaseGraph& ops, const CaseRun& run,
                                     std::uint32_t replica);

}  // namespace vktrain::nn
