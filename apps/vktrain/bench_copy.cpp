// `vktrain bench copy`: bytes between host and device, and within the device.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <span>

#include "apps/vktrain/bench_kinds.h"
#include "apps/vktrain/bench_session.h"
#include "apps/vktrain/bench_sizes.h"
#include "runtime/memory.h"

namespace vktrain::app {
namespace {

struct CopyArguments {
  BenchOptions options;
  std::string bytes = "65536-67108864*32";
};

void add_row(BenchSession& session, const char* direction, std::int64_t bytes,
             const nn::Measurement& time, double moved) {
  session.add("copy",
              {{"direction", "direction", std::string(direction)}, {"bytes", "bytes", bytes}}, time,
              {.bytes = moved, .memory_bound = true});
}

template <class F>
nn::Measurement measure_each(BenchSession& session, F&& copy) {
  return nn::measure(
      [&copy](std::uint32_t runs) {
        for (std::uint32_t i = 0; i < runs; ++i) copy();
      },
      session.measure_options());
}

void bench_copies(BenchSession& session, std::int64_t bytes) {
  runtime::Device& device = session.device();
  {
    runtime::Arena arena(device, "bench copy");
    const runtime::Slice slice = arena.allocate(static_cast<std::uint64_t>(bytes), "copied");
    std::vector<std::byte> host(static_cast<std::size_t>(bytes), std::byte{1});
    add_row(session, "host to device", bytes,
            measure_each(session, [&] { device.upload(slice, host); }), static_cast<double>(bytes));
    add_row(session, "device to host", bytes,
            measure_each(session, [&] { device.download(slice, host); }),
            static_cast<double>(bytes));
  }
  const nn::PeakMeasurement within =
      nn::measure_memory(device, nn::MemoryPattern::copy, static_cast<std::uint64_t>(bytes),
                         session.measure_options());
  add_row(session, "device to device", bytes, within.time, within.work);
}

void bench_copy(const CopyArguments& arguments, Console& console) {
  std::vector<std::int64_t> sizes = parse_sizes(arguments.bytes, "--bytes", 16);
  for (std::int64_t& size : sizes) size -= size % 16;  // whole vec4
  run_bench(arguments.options, console, [&sizes](BenchSession& session) {
    for (const std::int64_t bytes : sizes) bench_copies(session, bytes);
  });
}

}  // namespace

void add_bench_copy(CLI::App& bench, Console& console) {
  auto arguments = std::make_shared<CopyArguments>();
  CLI::App* command = bench.add_subcommand(
      "copy", "Copies to, from and within the device (the last counts reads and writes)");
  command->add_option("--bytes", arguments->bytes, "Sizes, rounded down to a multiple of 16")
      ->capture_default_str()
      ->type_name("SIZES");
  add_bench_options(*command, arguments->options);
  command->callback([arguments, &console] { bench_copy(*arguments, console); });
}

}  // namespace vktrain::app
