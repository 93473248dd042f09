// The device that benchmarks run on: VKTRAIN_BENCHMARK_DEVICE, as `vktrain --device` takes it.
#pragma once

#include "runtime/device.h"

namespace vktrain::benchmarks {

runtime::Device& device();  // valid while main runs

}  // namespace vktrain::benchmarks
