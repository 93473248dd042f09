// Experiments are planned and their kernels compiled, but nothing is run: so it also works on
// drivers without hardware, such as RADV's null device.
#include "apps/vktrain/kernels_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/vktrain/bench_output.h"
#include "apps/vktrain/device_session.h"
#include "apps/vktrain/experiments.h"
#include "nn/training/planned_kernels.h"
#include "runtime/error.h"
#include "runtime/pipeline_statistics.h"

namespace vktrain::app {
namespace {

constexpr std::int64_t kMostBatch = 1 << 20;

struct KernelsArguments {
  std::vector<std::string> experiments;
  std::vector<std::int64_t> batch_sizes;
  std::string device = "auto";
  std::string limits;
  std::string format = "table";
  bool all = false;
  bool fail_on_spills = false;
};

struct CompiledKernel {
  runtime::KernelKey key;
  nn::PlannedKernel planned;
  runtime::KernelReport report;
  std::string error;  // why it does not compile
};

std::vector<nn::Experiment> experiments_of(const KernelsArguments& arguments) {
  const nn::ExperimentLibrary library = built_in_experiments();
  std::vector<nn::Experiment> experiments;
  std::vector<std::string> patterns;
  for (const std::string& text : arguments.experiments) {
    if (text.ends_with(".toml")) {
      experiments.push_back(resolve_experiment(text));
    } else {
      patterns.push_back(text);
    }
  }
  if (arguments.experiments.empty()) patterns.emplace_back("*");
  if (patterns.empty()) return experiments;
  for (const nn::Experiment* found : library.match(patterns)) experiments.push_back(*found);
  return experiments;
}

nn::PlannedKernels plan_kernels(const KernelsArguments& arguments,
                                const runtime::DeviceProfile& device) {
  nn::PlannedKernels kernels;
  for (const nn::Experiment& experiment : experiments_of(arguments)) {
    nn::add_planned_kernels(kernels, experiment, device, 0, arguments.all);
    for (const std::int64_t batch : arguments.batch_sizes) {
      if (batch == experiment.training.batch_size) continue;
      nn::add_planned_kernels(kernels, experiment, device, batch, arguments.all);
    }
  }
  return kernels;
}

std::vector<CompiledKernel> compile(runtime::Device& device, const nn::PlannedKernels& planned) {
  std::vector<runtime::KernelKey> keys;
  for (const auto& [key, kernel] : planned) keys.push_back(key);
  try {
    device.kernels().prepare(keys);
  } catch (const DeviceError&) {  // comes again below, where it belongs to a kernel
  }
  std::vector<CompiledKernel> compiled;
  for (const auto& [key, kernel] : planned) {
    CompiledKernel& result = compiled.emplace_back(CompiledKernel{key, kernel, {}, {}});
    if (device.kernels().try_prepare(key, &result.error)) {
      result.report = runtime::report_kernel(device, key);
    }
  }
  return compiled;
}

BenchValue number(std::optional<std::int64_t> value) {
  return value ? BenchValue(*value) : BenchValue();
}

std::string workgroup_text(const runtime::KernelReport& report) {
  const auto& size = report.workgroup_size;
  if (size[1] == 1 && size[2] == 1) return std::to_string(size[0]);
  return fmt::format("{}x{}x{}", size[0], size[1], size[2]);
}

BenchRow row_of(const CompiledKernel& kernel, const runtime::DeviceProfile& device,
                const KernelsArguments& arguments, bool statistics) {
  const runtime::KernelResources& r = kernel.report.resources;
  const Shown told = statistics ? Shown::everywhere : Shown::files;
  const std::int64_t lanes = kernel.report.subgroup_size.value_or(0);
  const auto field = [told](std::string key, std::string title, std::optional<std::int64_t> value) {
    return BenchField{std::move(key), std::move(title), number(value), 0, told};
  };
  return {
      {"kernel", "kernel", runtime::to_string(kernel.key)},
      {"chosen", "chosen", std::string(kernel.planned.chosen ? "yes" : "no"), 0,
       arguments.all ? Shown::everywhere : Shown::files},
      {"uses", "uses", kernel.planned.users},
      {"first_use", "first use", kernel.planned.first_user},
      {"workgroup", "workgroup",
       kernel.error.empty() ? BenchValue(workgroup_text(kernel.report)) : BenchValue()},
      field("subgroup", "subgroup", lanes > 0 ? std::optional(lanes) : std::nullopt),
      field("sgprs", "SGPRs", r.scalar_registers),
      field("vgprs", "VGPRs", r.vector_registers),
      field("spills", "spills", r.spills),
      field("scratch_bytes", "scratch B", r.scratch),
      field("shared_bytes", "shared B", r.shared_memory),
      field("code_bytes", "code B", r.code_size),
      field("occupancy", "waves", r.occupancy),
      field("latency", "latency", r.latency),
      {"error", "error", kernel.error, 0, kernel.error.empty() ? Shown::files : Shown::everywhere},
      {"device", "device", device.name, 0, Shown::files},
      {"driver", "driver", fmt::format("{} {}", device.driver_name, device.driver_info), 0,
       Shown::files},
  };
}

std::string heading(const runtime::DeviceProfile& device, bool statistics) {
  std::string text =
      fmt::format("{}, {} {}\n", device.name, device.driver_name, device.driver_info);
  if (!statistics) {
    text +=
        "The driver does not tell of registers and spills (it lacks "
        "VK_KHR_pipeline_executable_properties).\n";
  }
  return text;
}

// Throws Error when a kernel did not compile or, where that is asked, a chosen one spills.
void judge(const std::vector<CompiledKernel>& kernels, bool fail_on_spills) {
  const auto failed = std::ranges::find_if(
      kernels, [](const CompiledKernel& kernel) { return !kernel.error.empty(); });
  if (failed != kernels.end()) throw Error(failed->error);
  if (!fail_on_spills) return;
  std::vector<std::string> spilling;
  for (const CompiledKernel& kernel : kernels) {
    if (!kernel.planned.chosen || !kernel.report.resources.leaves_registers()) continue;
    spilling.push_back(runtime::to_string(kernel.key));
  }
  if (spilling.empty()) return;
  throw Error(fmt::format(
      "{} of {} kernels: expected no spills and no scratch memory in those that are chosen, but {} "
      "has some; give it a smaller tile or another candidate first.",
      spilling.size(), kernels.size(), spilling.front()));
}

void run_kernels(const KernelsArguments& arguments, Console& console) {
  const BenchFormat format = parse_bench_format(arguments.format);
  runtime::DeviceOptions options;
  options.selector = arguments.device;
  if (!arguments.limits.empty()) options.limits = runtime::read_limits(arguments.limits);
  options.pipeline_cache = false;
  options.pipeline_statistics = true;
  const std::unique_ptr<runtime::Device> device = runtime::Device::open(options);
  const bool statistics = runtime::has_pipeline_statistics(*device);
  if (arguments.fail_on_spills && !statistics) {
    throw Error(fmt::format(
        "--fail-on-spills needs a driver with VK_KHR_pipeline_executable_properties, which \"{}\" "
        "({}) lacks; leave the option out, or take another --device.",
        device->profile().name, device->profile().driver_name));
  }
  const std::vector<CompiledKernel> kernels =
      compile(*device, plan_kernels(arguments, device->profile()));
  std::vector<BenchRow> rows;
  for (const CompiledKernel& kernel : kernels) {
    rows.push_back(row_of(kernel, device->profile(), arguments, statistics));
  }
  if (format == BenchFormat::table) console.out << heading(device->profile(), statistics);
  console.out << format_rows(rows, format);
  judge(kernels, arguments.fail_on_spills);
}

}  // namespace

void add_kernels_command(CLI::App& app, Console& console) {
  auto arguments = std::make_shared<KernelsArguments>();
  CLI::App* command = app.add_subcommand(
      "kernels", "Compile the kernels that experiments would use; registers, spills, code size");
  command->add_option("experiments", arguments->experiments,
                      "Ids of `vktrain experiments`, patterns as 'a-fcn-*', or .toml files; all "
                      "built-in ones without any");
  command
      ->add_option("--batch-size", arguments->batch_sizes,
                   "Plan for these batch sizes, too, besides the experiments' own")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, kMostBatch))
      ->type_name("N,...");
  command->add_option("--device", arguments->device, "auto, an index, or a part of the name")
      ->capture_default_str()
      ->type_name("DEVICE");
  add_limits_option(*command, arguments->limits);
  command->add_flag("--all", arguments->all,
                    "Also the kernels that only --tune might choose on this device");
  command->add_flag("--fail-on-spills", arguments->fail_on_spills,
                    "Fail when a chosen kernel spills registers or needs scratch memory");
  command->add_option("--format", arguments->format, "How to print the rows")
      ->capture_default_str()
      ->type_name("table|md|csv|json");
  command->callback([arguments, &console] { run_kernels(*arguments, console); });
}

}  // namespace vktrain::app
