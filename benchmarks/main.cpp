// Google Benchmark's main with a device that closes before static destructors run.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <iostream>
#include <memory>

#include "benchmarks/benchmark_device.h"
#include "runtime/error.h"

namespace vktrain::benchmarks {
namespace {

std::unique_ptr<runtime::Device>& holder() {
  static std::unique_ptr<runtime::Device> device;
  return device;
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const char* selector = std::getenv("VKTRAIN_BENCHMARK_DEVICE");
  holder() = runtime::Device::open({.selector = selector ? selector : "auto"});
  const runtime::DeviceProfile& profile = holder()->profile();
  benchmark::AddCustomContext("device", profile.name);
  benchmark::AddCustomContext("driver", profile.driver_name + " " + profile.driver_info);
  benchmark::RunSpecifiedBenchmarks();
  holder().reset();
  return 0;
}

}  // namespace

runtime::Device& device() { return *holder(); }

}  // namespace vktrain::benchmarks

int main(int argc, char** argv) {
  try {
    return vktrain::benchmarks::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "vktrain_benchmarks: error: " << error.what() << '\n';
    return 1;
  }
}
