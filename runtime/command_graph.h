// A list of dispatches, recorded once and replayed. Barriers come only from here: they are derived
// from the declared reads and writes. Dispatches are scheduled in levels: everything in one level
// is independent, one memory barrier stands between levels and one before the first, so that a
// replay sees what the replay before wrote.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/kernel.h"
#include "runtime/memory.h"

namespace vktrain::runtime {

enum class Access { read, write, read_write };

// How a kernel that reads a binding as texels sees it.
enum class TexelFormat { rgba32f, rg32f, r32f, rgba32ui, r32ui, rgba8unorm };
std::uint32_t texel_bytes(TexelFormat format);

struct Binding {
  Slice slice;
  Access access = Access::read;
  TexelFormat texels = TexelFormat::rgba32f;
};

struct Dispatch {
  std::string label;  // what the profiler shows, such as "1.weight gradient"
  KernelKey kernel;
  std::vector<Binding> bindings;  // at most kMaxBindings
  std::vector<std::byte> push;    // at most kMaxPushBytes, a multiple of 4
  std::array<std::uint32_t, 3> groups{1, 1, 1};
  double flops = 0;  // floating point operations of one execution, for the profiler
  double bytes = 0;  // least traffic of one execution, for the profiler
};

// Sum over all executions of one dispatch. Times are in seconds.
struct DispatchTiming {
  std::string label;
  std::string kernel;
  std::uint64_t calls = 0;
  double seconds = 0;
  double flops = 0;
  double bytes = 0;
};

struct TracedDispatch {
  std::string label;
  std::string kernel;
  std::size_t level = 0;
  double flops = 0;  // of one execution
  double bytes = 0;
};
// One execution. Times are in seconds since the first submission.
struct TracedExecution {
  std::size_t dispatch = 0;  // of ProfileTrace::dispatches
  std::uint64_t replay = 0;  // from 0
  double begin = 0;
  double end = 0;
};
struct HostSpan {
  std::string_view name;  // "submit" or "wait"
  std::uint64_t replay = 0;
  double begin = 0;  // seconds since the first submission
  double end = 0;
};
// The first replays one by one. The clocks of host and device are set equal at the end of the first
// replay; what they drift apart after that is not corrected.
struct ProfileTrace {
  std::vector<TracedDispatch> dispatches;
  std::vector<TracedExecution> executions;  // in the order of time
  std::vector<HostSpan> host;               // in the order of time
};
inline constexpr std::uint64_t kTracedReplays = 64;

class CommandGraph {
 public:
  // With `profile`, every dispatch is bracketed by GPU timestamps and replays run one by one.
  explicit CommandGraph(Device& device, bool profile = false);
  ~CommandGraph();
  CommandGraph(const CommandGraph&) = delete;
  CommandGraph& operator=(const CommandGraph&) = delete;

  // Throws std::invalid_argument, naming the dispatch and the limit, when it does not fit the
  // device (bindings, push constants, groups an axis, storage range, offset alignment).
  void add(Dispatch dispatch);

  // Compiles, writes descriptors, records. No `add` afterwards. Throws std::invalid_argument when a
  // shader uses a binding that its dispatch lacks or writes one that is declared as read (code that
  // a specialization constant turns off counts), and what KernelCache::get throws.
  void record();

  // Replays the recording `repeats` times in one submission without waiting. Submissions run in
  // order. At most two may be in flight: a third waits for the first.
  void submit(std::uint32_t repeats = 1);
  // Waits for everything submitted. Throws DeviceLostError naming the first labels when the device
  // was lost.
  void wait();
  void run(std::uint32_t repeats = 1) {
    submit(repeats);
    wait();
  }

  std::size_t dispatch_count() const;
  std::size_t level_count() const;                           // = barriers a replay
  std::span<const std::vector<std::size_t>> levels() const;  // dispatch numbers by level
  std::vector<DispatchTiming> timings() const;               // empty unless profiling
  ProfileTrace trace() const;  // of the first kTracedReplays replays; empty unless profiling

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vktrain::runtime
