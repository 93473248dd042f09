// The benchmarks of `vktrain bench`, one file each: bench_KIND.cpp. Each adds its subcommand.
#pragma once

#include "apps/vktrain/console.h"

namespace CLI {
class App;
}

namespace vktrain::app {

void add_bench_gemm(CLI::App& bench, Console& console);
void add_bench_conv(CLI::App& bench, Console& console);
void add_bench_elementwise(CLI::App& bench, Console& console);
void add_bench_step(CLI::App& bench, Console& console);
void add_bench_copy(CLI::App& bench, Console& console);
void add_bench_peak(CLI::App& bench, Console& console);

}  // namespace vktrain::app
