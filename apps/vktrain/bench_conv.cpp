// `vktrain bench conv`: the three passes of convolutions, of given sizes or of experiments.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/vktrain/bench_kinds.h"
#include "apps/vktrain/bench_session.h"
#include "apps/vktrain/bench_sizes.h"
#include "apps/vktrain/experiments.h"
#include "nn/training/step_graph.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

using nn::Conv2dCase;
using nn::Conv2dPass;

struct ConvArguments {
  BenchOptions options;
  std::string passes = "forward,data,weight";
  std::string batch = "64";
  std::optional<std::string> in, out, size;
  std::string kernel = "3", stride = "1", padding = "0", groups = "1";
  std::optional<std::string> layers;
  std::string precision = "f32";
  bool pooled = false;
};

struct NamedCase {
  std::string layer;  // "b-cnn-100k 3"; empty for sizes from the command line
  Conv2dCase c;
};

std::vector<Conv2dPass> parse_passes(const std::string& text) {
  std::vector<Conv2dPass> passes;
  for (const std::string& name : parse_names(text, "--pass")) {
    if (name == "forward") {
      passes.push_back(Conv2dPass::forward);
    } else if (name == "data") {
      passes.push_back(Conv2dPass::data_gradient);
    } else if (name == "weight") {
      passes.push_back(Conv2dPass::weight_gradient);
    } else {
      throw UsageError(
          fmt::format("--pass takes forward, data and weight, but it has '{}'.", name));
    }
  }
  return passes;
}

bool contains(const std::vector<Conv2dPass>& passes, Conv2dPass pass) {
  return std::find(passes.begin(), passes.end(), pass) != passes.end();
}

// Adds every combination of the last value with one more size.
template <class F>
void for_each_size(const std::string& text, std::string_view option, std::int64_t least, F&& f) {
  for (const std::int64_t size : parse_sizes(text, option, least)) f(size);
}

std::vector<Conv2dCase> square_cases(const ConvArguments& a) {
  if (!a.in || !a.out || !a.size) {
    throw UsageError("conv needs --in, --out and --size, or --layers with experiments.");
  }
  std::vector<Conv2dCase> cases = {Conv2dCase{}};
  const auto vary = [&cases](const std::string& text, std::string_view option, std::int64_t least,
                             auto&& set) {
    constexpr std::size_t kMost = 10000;
    std::vector<Conv2dCase> more;
    for (const Conv2dCase& c : cases) {
      for_each_size(text, option, least, [&](std::int64_t size) {
        set(more.emplace_back(c), size);
        if (more.size() > kMost) {
          throw UsageError(
              fmt::format("the sizes make more than {} combinations; take fewer.", kMost));
        }
      });
    }
    cases = std::move(more);
  };
  vary(a.batch, "--batch", 1, [](Conv2dCase& c, std::int64_t v) { c.batch = v; });
  vary(*a.in, "--in", 1, [](Conv2dCase& c, std::int64_t v) { c.in_channels = v; });
  vary(*a.out, "--out", 1, [](Conv2dCase& c, std::int64_t v) { c.out_channels = v; });
  vary(*a.size, "--size", 1, [](Conv2dCase& c, std::int64_t v) { c.input = {v, v}; });
  vary(a.kernel, "--kernel", 1, [](Conv2dCase& c, std::int64_t v) {
    c.options.window.kernel = {v, v};
  });
  vary(a.stride, "--stride", 1, [](Conv2dCase& c, std::int64_t v) {
    c.options.window.stride = {v, v};
  });
  vary(a.padding, "--padding", 0, [](Conv2dCase& c, std::int64_t v) {
    c.options.window.padding_begin = c.options.window.padding_end = {v, v};
  });
  vary(a.groups, "--groups", 1, [](Conv2dCase& c, std::int64_t v) { c.options.groups = v; });
  return cases;
}

Conv2dCase case_of(const nn::Graph& graph, Conv2dPass pass, nn::ValueId x, nn::ValueId y,
                   const nn::Conv2dOptions& options, std::int64_t batch) {
  const nn::Shape in = graph.value(x).shape.with_batch(batch);
  const nn::Shape out = graph.value(y).shape.with_batch(batch);
  return {pass, batch, in[1], out[1], {in[2], in[3]}, options};
}

std::optional<Conv2dCase> case_of(const nn::Graph& graph, const nn::Operation& operation,
                                  std::int64_t batch) {
  if (const auto* conv = dynamic_cast<const nn::Conv2d*>(&operation)) {
    return case_of(graph, Conv2dPass::forward, conv->x(), conv->y(), conv->options(), batch);
  }
  if (const auto* data = dynamic_cast<const nn::Conv2dDataGradient*>(&operation)) {
    return case_of(graph, Conv2dPass::data_gradient, data->dx(), data->dy(), data->options(),
                   batch);
  }
  if (const auto* weight = dynamic_cast<const nn::Conv2dWeightGradient*>(&operation)) {
    return case_of(graph, Conv2dPass::weight_gradient, weight->x(), weight->dy(), weight->options(),
                   batch);
  }
  return std::nullopt;
}

// The convolutions of one training step, without what a step merges into them: the first layer, for
// example, has no data gradient.
void add_layers(std::vector<NamedCase>& cases, const std::string& id, std::int64_t batch,
                const std::vector<Conv2dPass>& passes) {
  nn::Experiment experiment = resolve_experiment(id);
  experiment.training.batch_size = batch;
  nn::ParameterSet parameters;
  const nn::StepGraph step = nn::build_step_graph(parameters, experiment, experiment.optimizer,
                                                  batch, batch, nn::FusionOptions::none());
  const std::size_t before = cases.size();
  for (const auto& operation : step.graph.operations()) {
    const auto c = case_of(step.graph, *operation, batch);
    if (!c) continue;
    if (contains(passes, c->pass)) {
      cases.push_back({fmt::format("{} {}", id, operation->label), *c});
    }
  }
  if (cases.size() == before) {
    throw UsageError(fmt::format("--layers: the experiment '{}' has no such convolutions.", id));
  }
}

std::vector<NamedCase> cases_of(const ConvArguments& arguments) {
  const std::vector<Conv2dPass> passes = parse_passes(arguments.passes);
  std::vector<NamedCase> cases;
  if (arguments.layers) {
    if (arguments.in || arguments.out || arguments.size) {
      throw UsageError(
          "--layers takes the sizes of its experiments; leave --in, --out and --size "
          "out.");
    }
    for (const std::string& id : parse_names(*arguments.layers, "--layers")) {
      for (const std::int64_t batch : parse_sizes(arguments.batch, "--batch")) {
        add_layers(cases, id, batch, passes);
      }
    }
    return cases;
  }
  for (Conv2dCase& c : square_cases(arguments)) {
    for (const Conv2dPass pass : passes) {
      c.pass = pass;
      cases.push_back({"", c});
    }
  }
  return cases;
}

BenchRow parameters_of(const NamedCase& named, const std::string& kernel) {
  const Conv2dCase& c = named.c;
  const nn::Window2d& window = c.options.window;
  return {{"layer", "layer", named.layer.empty() ? BenchValue() : BenchValue(named.layer)},
          {"pass", "pass", std::string(to_string(c.pass))},
          {"batch", "batch", c.batch},
          {"in_channels", "in", c.in_channels},
          {"out_channels", "out", c.out_channels},
          {"input", "input", to_string(c.input)},
          {"window", "window", to_string(window.kernel)},
          {"stride", "stride", to_string(window.stride), 0, Shown::documents},
          {"padding", "padding", to_string(window.padding_begin), 0, Shown::documents},
          {"groups", "groups", c.options.groups, 0, Shown::documents},
          {"precision", "precision", std::string(to_string(c.precision))},
          {"kernel", "kernel", kernel}};
}

void require_kernels(const Conv2dCase& c, const runtime::DeviceProfile& device) {
  const nn::Shape x = {c.batch, c.in_channels, c.input.height, c.input.width};
  nn::Conv2dSizes sizes = nn::conv2d_sizes(x, c.out_channels, c.options);
  sizes.pooled = c.pooled;
  if (!nn::conv2d_candidates(c.pass, sizes, device).empty()) return;
  throw Error(
      fmt::format("{}: no kernels for {} pool within a convolution, which is for CPU drivers and "
                  "rows of at most "
                  "32 columns; leave --pooled out.",
                  to_string(c), device.name));
}

void bench_conv(const ConvArguments& arguments, Console& console) {
  std::vector<NamedCase> cases = cases_of(arguments);
  for (NamedCase& named : cases) {
    named.c.precision = parse_precision(arguments.precision);
    named.c.pooled = arguments.pooled;
  }
  run_bench(arguments.options, console, [&cases](BenchSession& session) {
    for (const NamedCase& named : cases) {
      const auto single = nn::single_conv2d(named.c);
      require_kernels(named.c, session.device().profile());
      const TimedOperation timed = session.time(*single);
      session.add("conv", parameters_of(named, timed.kernel), timed.time,
                  {.flops = single->flops, .bytes = single->bytes}, timed.gpu_seconds);
    }
  });
}

}  // namespace

void add_bench_conv(CLI::App& bench, Console& console) {
  auto arguments = std::make_shared<ConvArguments>();
  CLI::App* command = bench.add_subcommand("conv", "Two-dimensional convolutions");
  const auto sizes = [command](const char* name, auto& value, const char* help) {
    return command->add_option(name, value, help)->type_name("SIZES");
  };
  command->add_option("--pass", arguments->passes, "Which of the three passes")
      ->capture_default_str()
      ->type_name("PASS,...");
  command
      ->add_option("--layers", arguments->layers,
                   "The convolutions of a training step of these experiments, without bias, "
                   "activation and pooling")
      ->type_name("ID,...");
  sizes("--batch", arguments->batch, "Images")->capture_default_str();
  sizes("--in", arguments->in, "Input channels");
  sizes("--out", arguments->out, "Output channels");
  sizes("--size", arguments->size, "Height and width of the input");
  sizes("--kernel", arguments->kernel, "Height and width of the window")->capture_default_str();
  sizes("--stride", arguments->stride, "Of the window")->capture_default_str();
  sizes("--padding", arguments->padding, "Zeros on each side")->capture_default_str();
  sizes("--groups", arguments->groups, "Groups of channels")->capture_default_str();
  command->add_flag("--pooled", arguments->pooled,
                    "With max pooling by tiles of 2 x 2 in the kernels, as a step has it on CPU "
                    "drivers");
  add_precision_option(*command, arguments->precision);
  add_bench_options(*command, arguments->options);
  command->callback([arguments, &console] { bench_conv(*arguments, console); });
}

}  // namespace vktrain::app
