#include "nn/tuning/peak.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "nn/lowering.h"
#include "runtime/command_graph.h"
#include "runtime/error.h"
#include "runtime/memory.h"

namespace vktrain::nn {
namespace {

constexpr std::uint32_t kWorkgroup = 64;
constexpr std::uint32_t kSteps = 8192;  // of each chain
constexpr std::uint32_t kShortBody = 16;
constexpr std::uint32_t kLongBody = 64;
constexpr std::uint32_t kFloatsPerChain = 4;
constexpr std::uint32_t kCopiesPerInvocation = 4;  // vec4

// x <- factor x + addend converges so slowly that the number of steps shows in the result.
constexpr double kFactor = 1.0 - 1.0 / kSteps;
constexpr double kAddend = 1.0 / 1024;

constexpr float kSource = 3, kSecondSource = 4, kTriadFactor = 0.5f;

// Mirrors shaders/peak_fma.comp.
struct FmaPush {
  std::uint32_t turns;
  float factor, addend;
};

// Mirrors shaders/peak_copy.comp.
struct CopyPush {
  std::uint32_t count;
  float factor;
};

std::uint32_t groups_to_fill(const runtime::DeviceProfile& profile) {
  return profile.kind == runtime::DeviceKind::cpu ? 64 : 8192;
}

double after_steps(double start) {
  const double limit = kAddend / (1 - kFactor);
  return limit + (start - limit) * std::pow(kFactor, kSteps);
}

// What component `i` of an invocation holds in the end: the sum over all chains, of which the first
// ones have run.
double expected_sum(const FmaVariant& variant, std::uint32_t invocation, std::uint32_t i) {
  constexpr std::uint32_t kChainsOfShader = 4;
  double sum = 0;
  for (std::uint32_t chain = 0; chain < kChainsOfShader; ++chain) {
    const double start = invocation + chain * kFloatsPerChain + i;
    sum += chain < variant.chains ? after_steps(start) : start;
  }
  return sum;
}

void check_sums(const FmaVariant& variant, std::span<const float> sums, std::string_view device) {
  // Each step rounds by half a unit: far less than any step left out would change.
  constexpr double kTolerance = 1e-3;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const auto invocation = static_cast<std::uint32_t>(i / kFloatsPerChain % kWorkgroup);
    const double expected =
        expected_sum(variant, invocation, static_cast<std::uint32_t>(i % kFloatsPerChain));
    if (std::abs(double{sums[i]} - expected) <= kTolerance * expected) continue;
    throw DeviceError(fmt::format(
        "\"{}\" computed {} instead of {} in the measurement of its peak ({}): its driver left "
        "multiply-adds out or changed them, so that no peak can be told; use --no-peak.",
        device, sums[i], expected, to_string(variant)));
  }
}

std::array<std::uint32_t, 3> folded_groups(std::uint64_t groups,
                                           const runtime::DeviceProfile& profile) {
  const std::uint64_t x = std::min<std::uint64_t>(groups, profile.max_workgroup_count[0]);
  return {static_cast<std::uint32_t>(x), static_cast<std::uint32_t>((groups + x - 1) / x), 1};
}

}  // namespace

std::vector<FmaVariant> fma_variants() {
  std::vector<FmaVariant> variants;
  for (const bool long_body : {false, true}) {
    for (std::uint32_t chains = 1; chains <= 4; ++chains) variants.push_back({chains, long_body});
  }
  return variants;
}

std::string to_string(const FmaVariant& variant) {
  return fmt::format("{} chains, {} steps", variant.chains * kFloatsPerChain,
                     variant.long_body ? kLongBody : kShortBody);
}

std::string_view to_string(MemoryPattern pattern) {
  return pattern == MemoryPattern::copy ? "copy" : "triad";
}

PeakMeasurement measure_fma(runtime::Device& device, const FmaVariant& variant,
                            const MeasureOptions& options) {
  const std::uint32_t groups = groups_to_fill(device.profile());
  const std::uint64_t floats = std::uint64_t{groups} * kWorkgroup * kFloatsPerChain;
  runtime::Arena arena(device, "peak");
  const runtime::Slice result = arena.allocate(4 * floats, "result");
  runtime::CommandGraph commands(device);
  runtime::Dispatch d;
  d.label = "peak fma";
  d.kernel = {"peak_fma", {kWorkgroup, variant.chains, variant.long_body ? 1u : 0u}};
  d.bindings = {{result, runtime::Access::write}};
  d.push = push_bytes(FmaPush{kSteps / (variant.long_body ? kLongBody : kShortBody),
                              static_cast<float>(kFactor), static_cast<float>(kAddend)});
  d.groups = {groups, 1, 1};
  commands.add(std::move(d));
  commands.record();

  PeakMeasurement measured;
  measured.work = 2.0 * kSteps * variant.chains * static_cast<double>(floats);
  measured.time = measure(commands, options);
  std::vector<float> sums(static_cast<std::size_t>(floats));
  device.download(result, std::as_writable_bytes(std::span(sums)));
  check_sums(variant, sums, device.profile().name);
  return measured;
}

PeakMeasurement measure_memory(runtime::Device& device, MemoryPattern pattern, std::uint64_t bytes,
                               const MeasureOptions& options) {
  constexpr std::uint64_t kVec4 = 16;
  const std::uint64_t count = bytes / kVec4;
  const bool triad = pattern == MemoryPattern::triad;
  runtime::Arena arena(device, "peak");
  const runtime::Slice x = arena.allocate(count * kVec4, "source");
  const runtime::Slice z = triad ? arena.allocate(count * kVec4, "second source") : x;
  const runtime::Slice y = arena.allocate(count * kVec4, "target");
  runtime::CommandGraph commands(device);
  runtime::Dispatch d;
  d.label = fmt::format("peak {}", to_string(pattern));
  d.kernel = {"peak_copy", {kWorkgroup, triad ? 1u : 0u}};
  d.bindings = {
      {x, runtime::Access::read}, {z, runtime::Access::read}, {y, runtime::Access::write}};
  d.push = push_bytes(CopyPush{static_cast<std::uint32_t>(count), kTriadFactor});
  constexpr std::uint64_t kPerGroup = std::uint64_t{kWorkgroup} * kCopiesPerInvocation;
  d.groups = folded_groups((count + kPerGroup - 1) / kPerGroup, device.profile());
  commands.add(std::move(d));
  commands.record();
  device.fill(x, float_bits(kSource));
  if (triad) device.fill(z, float_bits(kSecondSource));
  PeakMeasurement measured;
  measured.work = static_cast<double>(count * kVec4) * (triad ? 3 : 2);
  measured.time = measure(commands, options);
  const float expected = triad ? kSource + kTriadFactor * kSecondSource : kSource;
  for (const std::uint64_t offset : {std::uint64_t{0}, (count - 1) * kVec4}) {
    float found = 0;
    device.download(y.part(offset, 4), std::as_writable_bytes(std::span(&found, 1)));
    if (found != expected) {
      throw DeviceError(fmt::format(
          "\"{}\" wrote {} instead of {} in the measurement of its memory ({}): use --no-peak.",
          device.profile().name, found, expected, to_string(pattern)));
    }
  }
  return measured;
}

std::vector<std::uint64_t> memory_sizes(const runtime::DeviceProfile& device) {
  constexpr std::uint64_t kMebi = 1 << 20;
  if (device.kind == runtime::DeviceKind::cpu) return {kMebi, 64 * kMebi};
  return {16 * kMebi, 256 * kMebi};
}

bool rates_by_cpu_time(const runtime::DeviceProfile& device) {
  return device.kind == runtime::DeviceKind::cpu;
}

const std::vector<double>& rated_seconds(const Measurement& time,
                                         const runtime::DeviceProfile& device) {
  return rates_by_cpu_time(device) ? time.cpu : time.wall;
}

double best_rate(const PeakMeasurement& measured, const runtime::DeviceProfile& device) {
  return measured.work / spread_of(rated_seconds(measured.time, device)).least;
}

DevicePeak measure_device_peak(runtime::Device& device, const MeasureOptions& options) {
  DevicePeak peak;
  // One of these won wherever it was tried; the others would only take seconds to compile.
  for (const FmaVariant& variant : {FmaVariant{3, true}, FmaVariant{4, true}}) {
    const double rate = best_rate(measure_fma(device, variant, options), device.profile());
    peak.flops = std::max(peak.flops, rate);
  }
  for (const MemoryPattern pattern : {MemoryPattern::copy, MemoryPattern::triad}) {
    for (const std::uint64_t bytes : memory_sizes(device.profile())) {
      const PeakMeasurement measured = measure_memory(device, pattern, bytes, options);
      peak.bytes = std::max(peak.bytes, best_rate(measured, device.profile()));
    }
  }
  return peak;
}

}  // namespace vktrain::nn
