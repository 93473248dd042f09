// `vktrain bench peak`: the ceilings that every other figure is a share of.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/vktrain/bench_kinds.h"
#include "apps/vktrain/bench_session.h"
#include "apps/vktrain/bench_sizes.h"

namespace vktrain::app {
namespace {

struct PeakArguments {
  BenchOptions options;
  std::optional<std::string> bytes;
};

BenchRow parameters_of(const std::string& what, BenchValue bytes) {
  return {{"kernel", "kernel", what}, {"buffer_bytes", "bytes", std::move(bytes)}};
}

void bench_peak(const PeakArguments& arguments, Console& console) {
  std::vector<std::int64_t> sizes;
  if (arguments.bytes) sizes = parse_sizes(*arguments.bytes, "--bytes", 16);
  BenchOptions own = arguments.options;
  own.no_peak = true;  // it is what is measured
  run_bench(own, console, [&sizes](BenchSession& session) {
    const nn::MeasureOptions options = session.measure_options();
    for (const nn::FmaVariant& variant : nn::fma_variants()) {
      const nn::PeakMeasurement measured = nn::measure_fma(session.device(), variant, options);
      session.add("peak", parameters_of("fma " + to_string(variant), {}), measured.time,
                  {.flops = measured.work});
    }
    std::vector<std::uint64_t> bytes(sizes.begin(), sizes.end());
    if (bytes.empty()) bytes = nn::memory_sizes(session.device().profile());
    for (const nn::MemoryPattern pattern : {nn::MemoryPattern::copy, nn::MemoryPattern::triad}) {
      for (const std::uint64_t size : bytes) {
        const auto measured = nn::measure_memory(session.device(), pattern, size, options);
        session.add("peak",
                    parameters_of(std::string(to_string(pattern)), static_cast<std::int64_t>(size)),
                    measured.time, {.bytes = measured.work, .memory_bound = true});
      }
    }
  });
}

}  // namespace

void add_bench_peak(CLI::App& bench, Console& console) {
  auto arguments = std::make_shared<PeakArguments>();
  CLI::App* command =
      bench.add_subcommand("peak", "The device's rate of multiply-adds and of memory");
  command
      ->add_option("--bytes", arguments->bytes,
                   "Sizes of the buffers that are copied [default: within and beyond the caches]")
      ->type_name("SIZES");
  add_bench_options(*command, arguments->options);
  command->callback([arguments, &console] { bench_peak(*arguments, console); });
}

}  // namespace vktrain::app
