// The profiler's table.
#pragma once

#include <span>
#include <string>

#include "runtime/command_graph.h"

namespace vktrain::runtime {

enum class ProfileGroup {
  kernel,    // one row a kernel, all its dispatches added up
  dispatch,  // one row a label
};

// A text table with one row a group, the most expensive first: kernel or label, calls, time in
// milliseconds, share of the whole, GFLOP/s and GB/s (10^9; "-" where the dispatches declare none).
// The last row is the sum. Empty timings give an empty string.
std::string profile_report(std::span<const DispatchTiming> timings,
                           ProfileGroup group = ProfileGroup::kernel);

}  // namespace vktrain::runtime
