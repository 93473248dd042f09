#include "apps/vktrain/bench_command.h"

#include <CLI/CLI.hpp>

#include "apps/vktrain/bench_kinds.h"

namespace vktrain::app {

void add_bench_command(CLI::App& app, Console& console) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure kernels and training steps against the device's peak");
  command->require_subcommand(1);
  add_bench_gemm(*command, console);
  add_bench_conv(*command, console);
  add_bench_elementwise(*command, console);
  add_bench_step(*command, console);
  add_bench_copy(*command, console);
  add_bench_peak(*command, console);
}

}  // namespace vktrain::app
