// The ceilings of a device, measured: multiply-adds in registers, and memory traffic. Every other
// figure is a share of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/tuning/measure.h"
#include "runtime/device.h"

namespace vktrain::nn {

// Independent chains of multiply-adds in an invocation, four floats each, and how many steps of
// each the loop's body spells out.
struct FmaVariant {
  std::uint32_t chains = 4;  // 1 to 4
  bool long_body = true;     // 64 steps instead of 16
};
std::vector<FmaVariant> fma_variants();
std::string to_string(const FmaVariant& variant);  // "16 chains, 64 steps"

struct PeakMeasurement {
  double work = 0;  // FLOP, a multiply-add as two, or bytes read and written, of one run
  Measurement time;
};

// Throws DeviceError when the result is not what so many multiply-adds give: the driver left work
// out.
PeakMeasurement measure_fma(runtime::Device& device, const FmaVariant& variant,
                            const MeasureOptions& options);

enum class MemoryPattern { copy, triad };  // y = x; y = x + a z
std::string_view to_string(MemoryPattern pattern);

// `bytes` of each of the two or three buffers, at least 16; rounded down to a multiple of 16.
// Throws DeviceError when the device cannot hold them.
PeakMeasurement measure_memory(runtime::Device& device, MemoryPattern pattern, std::uint64_t bytes,
                               const MeasureOptions& options);

// Bytes a buffer that stays within the caches has, and one that does not.
std::vector<std::uint64_t> memory_sizes(const runtime::DeviceProfile& device);

// Whether rates count per second of processor time: on a CPU driver, where others may use the
// machine, and one thread's rate is known whatever the number of threads.
bool rates_by_cpu_time(const runtime::DeviceProfile& device);
// Seconds of each repetition that a rate of this device counts by.
const std::vector<double>& rated_seconds(const Measurement& time,
                                         const runtime::DeviceProfile& device);
// Work a second in the best repetition.
double best_rate(const PeakMeasurement& measured, const runtime::DeviceProfile& device);

struct DevicePeak {
  double flops = 0;  // per second as `rates_by_cpu_time` says
  double bytes = 0;  // of kernels, within the caches or beyond, whichever is more
};
// Both in a short run, with the variants that win.
DevicePeak measure_device_peak(runtime::Device& device, const MeasureOptions& options);

}  // namespace vktrain::nn
