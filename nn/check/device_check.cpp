#include "nn/check/device_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "nn/check/feature_check.h"
#include "nn/executable.h"
#include "nn/lowering.h"
#include "nn/ops/end_step.h"
#include "runtime/command_graph.h"
#include "runtime/error.h"
#include "runtime/memory.h"
#include "runtime/platform.h"

namespace vktrain::nn {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string mebibytes(std::uint64_t bytes) { return fmt::format("{} MiB", bytes / kMebibyte); }

// Half of what programs may take counts as ours; where it cannot be told: 1 GiB.
std::uint64_t free_memory_share() {
  const std::optional<std::uint64_t> available = available_memory();
  return available ? *available / 2 : 1024 * kMebibyte;
}

// The memory of CPU drivers and of many GPUs is the machine's.
std::uint64_t memory_budget(const runtime::DeviceProfile& profile, std::uint64_t most) {
  constexpr std::uint64_t kMostOfCpu = 1024 * kMebibyte;  // each page costs the processor time
  const bool cpu = profile.kind == runtime::DeviceKind::cpu || !profile.limits.empty();
  return std::min({most, profile.memory / 2, free_memory_share(), cpu ? kMostOfCpu : most});
}

// The first and the last words of a buffer hold what was written there.
bool holds(runtime::Device& device, const runtime::Buffer& buffer, std::uint32_t mark) {
  constexpr std::uint64_t kBytes = 256;
  const runtime::Slice all = {&buffer, 0, buffer.size()};
  for (const std::uint64_t offset : {std::uint64_t{0}, buffer.size() - kBytes}) {
    device.fill(all.part(offset, kBytes), mark + static_cast<std::uint32_t>(offset % 97));
  }
  for (const std::uint64_t offset : {std::uint64_t{0}, buffer.size() - kBytes}) {
    std::array<std::uint32_t, kBytes / 4> words{};
    device.download(all.part(offset, kBytes), std::as_writable_bytes(std::span(words)));
    const std::uint32_t wanted = mark + static_cast<std::uint32_t>(offset % 97);
    if (std::ranges::count(words, wanted) != std::ssize(words)) return false;
  }
  return true;
}

struct Filling {
  std::vector<std::unique_ptr<runtime::Buffer>> buffers;
  std::uint64_t total = 0, largest = 0;
  std::string refusal;  // of a buffer of the least size that is tried
};

// Buffers up to the budget, each as large as one may be. What is refused is tried in halves: a
// driver may add padding to a buffer of the largest allocation, and memory may be in pieces.
Filling fill_up(runtime::Device& device, std::uint64_t single, std::uint64_t budget) {
  constexpr std::uint64_t kLeast = 16 * kMebibyte;
  Filling filling;
  while (filling.total + kMebibyte <= budget && filling.refusal.empty()) {
    const std::uint64_t size = std::min(single, (budget - filling.total) / 256 * 256);
    try {
      filling.buffers.push_back(std::make_unique<runtime::Buffer>(
          device, size, fmt::format("check {}", filling.buffers.size())));
      filling.total += size;
      filling.largest = std::max(filling.largest, size);
    } catch (const DeviceError& error) {
      if (size <= kLeast) filling.refusal = error.what();
      single = size / 2 / 256 * 256;
    }
  }
  return filling;
}

void fill_memory(runtime::Device& device, std::uint64_t most, CheckRow& row) {
  const runtime::DeviceProfile& profile = device.profile();
  const std::uint64_t budget = memory_budget(profile, most);
  const std::uint64_t single =
      std::min({profile.max_allocation, profile.max_storage_range, budget}) / 256 * 256;
  const Filling filling = fill_up(device, single, budget);
  const auto& buffers = filling.buffers;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    if (holds(device, *buffers[i], 0x51000000u + static_cast<std::uint32_t>(1000 * i))) continue;
    return fail(row,
                fmt::format("buffer {} of {} lost what was written to it", i + 1, buffers.size()));
  }
  row.why = fmt::format("{} in {} buffers, the largest {}", mebibytes(filling.total),
                        buffers.size(), mebibytes(filling.largest));
  if (!filling.refusal.empty()) row.why += "; more was refused: " + filling.refusal;
  if (buffers.empty()) row.result = CheckResult::fail;
}

// Asks for more than there is and looks whether the device still works. What is past the largest
// allocation never gets to the driver (runtime/memory.cpp), whose answer is tested only where it
// names no largest allocation. Memory is zero-filled when it is given, so that a CPU driver is only
// asked for what it must refuse.
void exceed_memory(runtime::Device& device, CheckRow& row) {
  const runtime::DeviceProfile& profile = device.profile();
  const bool unlimited = profile.max_allocation > std::numeric_limits<std::uint64_t>::max() / 2;
  const std::uint64_t size = unlimited ? profile.memory : profile.max_allocation + 4;
  try {
    const runtime::Buffer buffer(device, size, "too large");
    return fail(row,
                fmt::format("{} were granted, more than the device says it has", mebibytes(size)));
  } catch (const DeviceError& error) {
    row.why = unlimited ? fmt::format("{} bytes, refused by the driver: {}", size, error.what())
                        : fmt::format(
                              "{} bytes, refused by vktrain before the driver, which "
                              "allows {} in one allocation",
                              size, profile.max_allocation);
  }
  const runtime::Buffer small(device, 4096, "after");
  if (!holds(device, small, 0x52000000u)) fail(row, "the device does not work after a refusal");
}

// end_step advances a counter on the device: so many submissions, so far the counter.
void submit_often(runtime::Device& device, std::uint32_t submissions, CheckRow& row) {
  ParameterSet parameters;
  Graph graph(parameters);
  const StepInputs step = add_step_inputs(graph, submissions + 1);
  const CrossEntropy loss = {graph.add_external("loss", {kBatch}, DType::f32, false),
                             graph.add_external("correct", {kBatch}, DType::u32, false)};
  end_step(graph, loss, step);
  ParameterStorage storage(device, parameters, 1, 0);
  Executable executable(device, graph, storage, {.batch = 1});
  const Clock::time_point start = Clock::now();
  for (std::uint32_t i = 0; i < submissions; ++i) executable.run();
  const double seconds = seconds_since(start);
  const std::uint32_t count = executable.read_words(step.state).front();
  row.why = fmt::format("{} submissions in {:.2f} s, {:.0f} us each", submissions, seconds,
                        1e6 * seconds / submissions);
  if (count != submissions) {
    fail(row, fmt::format("{} of {} submissions changed the counter", count, submissions));
  }
}

// Mirrors the push constants of shaders/peak_fma.comp.
struct FmaPush {
  std::uint32_t turns;
  float factor, addend;
};

constexpr std::uint32_t kWorkgroup = 64;
constexpr std::uint32_t kStepsPerTurn = 64;

// One dispatch of x <- 1 x + 1: every step shows in the result, which stays exact below 2^24.
class CountingDispatch {
 public:
  CountingDispatch(runtime::Device& device, std::uint32_t turns, std::uint32_t groups,
                   bool profile = false)
      : device_(&device),
        turns_(turns),
        groups_(groups),
        buffer_(device, std::uint64_t{groups} * kWorkgroup * 16, "counts"),
        commands_(device, profile) {
    runtime::Dispatch d;
    d.label = "long";
    d.kernel = {"peak_fma", {kWorkgroup, 1, 1}};
    d.bindings = {{{&buffer_, 0, buffer_.size()}, runtime::Access::write}};
    d.push = push_bytes(FmaPush{turns, 1, 1});
    d.groups = {groups, 1, 1};
    commands_.add(std::move(d));
    commands_.record();
  }

  double run() {
    const Clock::time_point start = Clock::now();
    commands_.run();
    return seconds_since(start);
  }

  const runtime::CommandGraph& commands() const { return commands_; }

  // The three other chains of the kernel keep their starts, which add up to 3 (l + i) + 24.
  bool right() const {
    std::vector<float> sums(std::size_t{groups_} * kWorkgroup * 4);
    device_->download({&buffer_, 0, buffer_.size()}, std::as_writable_bytes(std::span(sums)));
    for (std::size_t k = 0; k < sums.size(); ++k) {
      const std::size_t start = k / 4 % kWorkgroup + k % 4;
      const double wanted =
          static_cast<double>(4 * start + 24) + static_cast<double>(turns_) * kStepsPerTurn;
      if (double{sums[k]} != wanted) return false;
    }
    return true;
  }

 private:
  runtime::Device* device_;
  std::uint32_t turns_, groups_;
  runtime::Buffer buffer_;
  runtime::CommandGraph commands_;
};

// From a short run to one of about the wanted time, by turns first, which stay exact, then by
// workgroups.
void dispatch_long(runtime::Device& device, double wanted_seconds, CheckRow& row) {
  // llvmpipe ends every loop after 65,535 turns. 64 steps each: 3.8e6, exact in a float.
  constexpr std::uint32_t kMostTurns = 60'000;
  const std::uint32_t most_groups = std::min(device.profile().max_workgroup_count[0], 65535u);
  std::uint32_t turns = 500, groups = 16;
  CountingDispatch first(device, turns, groups);
  first.run();  // some drivers compile only now
  if (!first.right()) return fail(row, "the first, short dispatch gives wrong results");
  double seconds = CountingDispatch(device, turns, groups).run();
  for (int attempt = 0; attempt < 6 && seconds < 0.6 * wanted_seconds; ++attempt) {
    // Not much at once: a first run that was short is no measure.
    const double factor = std::clamp(wanted_seconds / std::max(seconds, 1e-6), 1.0, 16.0);
    const double more_turns = std::min(factor, double{kMostTurns} / turns);
    turns = static_cast<std::uint32_t>(turns * more_turns);
    groups = static_cast<std::uint32_t>(
        std::min<double>(groups * std::max(1.0, factor / more_turns), most_groups));
    CountingDispatch dispatch(device, turns, groups);
    seconds = dispatch.run();
    if (dispatch.right()) continue;
    return fail(row, fmt::format("a dispatch of {:.2f} s gives wrong results", seconds));
  }
  row.why = fmt::format("one dispatch of {:.2f} s", seconds);
}

void read_timestamps(runtime::Device& device, CheckRow& row) {
  if (!device.profile().timestamps) {
    row.result = CheckResult::skipped;
    row.why = "the device has none";
    return;
  }
  CountingDispatch dispatch(device, 2000, 16, true);
  const auto total = [&] { return dispatch.commands().timings().front().seconds; };
  dispatch.run();  // some drivers compile only now
  const double before = total(), clock = dispatch.run(), last = total() - before;
  row.why = fmt::format("{:.3f} ms of {:.3f} ms by the clock", 1e3 * last, 1e3 * clock);
  // The clock runs from the submission to the end of the waiting, and so longer, but the two may go
  // at slightly different rates.
  const double tick = 1e-9 * device.profile().timestamp_period;
  if (!(last > 0) || last > 1.05 * clock + tick) {
    fail(row, fmt::format("{:.3g} s by timestamps, {:.3g} s by the clock", last, clock));
  }
}

// A cache of kernels of its own, so that pipelines are made at once by all its threads; the
// device's persistent cache below it may know their code from an earlier run.
void make_pipelines(runtime::Device& device, CheckRow& row) {
  std::vector<runtime::KernelKey> keys;
  for (const std::uint32_t chains : {1u, 2u, 3u, 4u}) {
    for (const std::uint32_t body : {0u, 1u})
      keys.push_back({"peak_fma", {kWorkgroup, chains, body}});
  }
  for (const std::uint32_t size : {8u, 16u, 32u, 64u}) {
    keys.push_back({"add", {size}});
    keys.push_back({"peak_copy", {size, 0}});
  }
  runtime::KernelCache cache(device);
  const Clock::time_point start = Clock::now();
  cache.prepare(keys);
  row.why =
      fmt::format("{} pipelines at once in {:.0f} ms", keys.size(), 1e3 * seconds_since(start));
  for (const runtime::KernelKey& key : keys) cache.get(key);
}

struct DeviceRow {
  std::string operation;
  std::function<void(CheckRow&)> fill;
};

std::vector<DeviceRow> device_rows(runtime::Device* device, const DeviceCheckOptions& options) {
  return {
      {"memory", [=](CheckRow& row) { fill_memory(*device, options.memory, row); }},
      {"memory past the limit", [=](CheckRow& row) { exceed_memory(*device, row); }},
      {"submissions", [=](CheckRow& row) { submit_often(*device, options.submissions, row); }},
      {"long dispatch", [=](CheckRow& row) { dispatch_long(*device, options.long_seconds, row); }},
      {"timestamps", [=](CheckRow& row) { read_timestamps(*device, row); }},
      {"pipelines from several threads", [=](CheckRow& row) { make_pipelines(*device, row); }},
  };
}

void add_features(const runtime::Device& device, const CheckOptions& options,
                  std::vector<CheckRow>& rows) {
  const runtime::DeviceProfile& used = device.profile();
  const std::vector<runtime::DeviceProfile> raw = runtime::list_devices();
  for (CheckRow& row : feature_rows(raw.at(used.index), used)) {
    if (options.wants(row)) rows.push_back(std::move(row));
  }
}

}  // namespace

std::vector<CheckRow> list_device(const runtime::Device& device, const CheckOptions& options) {
  std::vector<CheckRow> rows;
  for (const DeviceRow& check : device_rows(nullptr, {})) {
    CheckRow row = row_of("device", check.operation);
    if (options.wants(row)) rows.push_back(std::move(row));
  }
  add_features(device, options, rows);
  return rows;
}

void check_device(runtime::Device& device, const CheckOptions& options,
                  const DeviceCheckOptions& device_options, DeviceReport& report) {
  for (const DeviceRow& check : device_rows(&device, device_options)) {
    CheckRow row = row_of("device", check.operation);
    if (!options.wants(row)) continue;
    options.progress(row.operation);
    run_row(row, [&] { check.fill(row); });
    report.rows.push_back(std::move(row));
  }
  add_features(device, options, report.rows);
}

}  // namespace vktrain::nn
