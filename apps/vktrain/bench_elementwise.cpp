// `vktrain bench elementwise`: the operations that memory bounds.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/vktrain/bench_kinds.h"
#include "apps/vktrain/bench_session.h"
#include "apps/vktrain/bench_sizes.h"
#include "nn/experiment/suggest.h"
#include "nn/tuning/elementwise_operation.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

struct ElementwiseArguments {
  BenchOptions options;
  std::optional<std::string> operations;
  std::string sizes = "65536,1048576";
};

std::vector<nn::Elementwise> operations_of(const ElementwiseArguments& arguments) {
  const std::vector<nn::Elementwise> all = nn::elementwise_operations();
  if (!arguments.operations) return all;
  std::vector<std::string> known;
  for (const nn::Elementwise kind : all) known.emplace_back(to_string(kind));
  std::vector<nn::Elementwise> chosen;
  for (const std::string& name : parse_names(*arguments.operations, "--operation")) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) {
      throw UsageError(
          fmt::format("--operation does not know '{}'; {}", name, nn::suggest(name, known)));
    }
    chosen.push_back(all[static_cast<std::size_t>(found - known.begin())]);
  }
  return chosen;
}

void bench_operation(BenchSession& session, nn::Elementwise kind, std::int64_t size) {
  const auto operation = nn::elementwise_operation(kind, size);
  const TimedOperation timed = session.time(
      operation->single, operation->optimizer_slots,
      [&operation](nn::Executable& executable) { prepare_step(*operation, executable); });
  session.add("elementwise",
              {{"operation", "operation", std::string(to_string(kind))},
               {"elements", "elements", size},
               {"kernel", "kernel", timed.kernel}},
              timed.time,
              {.flops = timed.planned_flops, .bytes = timed.planned_bytes, .memory_bound = true},
              timed.gpu_seconds);
}

void bench_elementwise(const ElementwiseArguments& arguments, Console& console) {
  const std::vector<nn::Elementwise> operations = operations_of(arguments);
  const std::vector<std::int64_t> sizes = parse_sizes(arguments.sizes, "--size");
  run_bench(arguments.options, console, [&](BenchSession& session) {
    for (const nn::Elementwise kind : operations) {
      for (const std::int64_t size : sizes) bench_operation(session, kind, size);
    }
  });
}

}  // namespace

void add_bench_elementwise(CLI::App& bench, Console& console) {
  auto arguments = std::make_shared<ElementwiseArguments>();
  CLI::App* command = bench.add_subcommand(
      "elementwise", "Activations, bias, batch norm, dropout, Adam: what memory bounds");
  command->add_option("--operation", arguments->operations, "Some of them [default: all]")
      ->type_name("NAME,...");
  command->add_option("--size", arguments->sizes, "Elements, in rows of 256")
      ->capture_default_str()
      ->type_name("SIZES");
  add_bench_options(*command, arguments->options);
  command->callback([arguments, &console] { bench_elementwise(*arguments, console); });
}

}  // namespace vktrain::app
