#include "apps/vktrain/experiments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <filesystem>

#include "apps/vktrain/embedded_experiments.h"
#include "nn/experiment/experiment_toml.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

// Key and value of one option, where it was given.
void add_override(std::vector<std::string>& overrides, std::string_view key,
                  const std::optional<std::string>& value) {
  if (value) overrides.push_back(fmt::format("{}={}", key, *value));
}

std::string shuffle_value(const std::string& text) {
  if (text == "on") return "true";
  if (text == "off") return "false";
  throw UsageError(fmt::format("--shuffle must be on or off, but it is '{}'.", text));
}

// "1,2,3" as it stands; "3" as three seeds from `first` on.
std::string seeds_value(const std::string& text, std::uint64_t first) {
  if (text.find(',') != std::string::npos) return fmt::format("[{}]", text);
  constexpr unsigned kMostSeeds = 1024;
  unsigned count = 0;
  const char* end = text.data() + text.size();
  const auto [read_end, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc() || read_end != end || count < 1 || count > kMostSeeds) {
    throw UsageError(fmt::format(
        "--seeds must be a number of seeds from 1 to {}, or a list as 1,2,3, but it is '{}'.",
        kMostSeeds, text));
  }
  std::vector<std::uint64_t> seeds;
  for (unsigned i = 0; i < count; ++i) seeds.push_back(first + i);
  return fmt::format("[{}]", fmt::join(seeds, ", "));
}

}  // namespace

nn::ExperimentLibrary built_in_experiments() {
  return nn::ExperimentLibrary(embedded_experiments());
}

nn::Experiment resolve_experiment(std::string_view id_or_path) {
  const std::filesystem::path path = path_of(id_or_path);
  if (path.extension() == ".toml" || path.has_parent_path()) {
    return nn::parse_experiment(read_text_file(path), path.string());
  }
  return built_in_experiments().find(id_or_path);
}

void add_experiment_options(CLI::App& command, ExperimentOptions& options) {
  const auto several = [](CLI::Option* option) {
    option->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  several(
      command.add_option("--set", options.set, "Set any key of the experiment; may be repeated")
          ->type_name("KEY=VALUE"));
  command.add_option("--seed", options.seed, "Seed of everything that is drawn")->type_name("N");
  command
      .add_option("--seeds", options.seeds,
                  "Train replicas at once: with K seeds from --seed on, or with a list of seeds")
      ->type_name("K|A,B,...");
  command.add_option("--epochs", options.epochs, "Passes over the training images")->type_name("N");
  command.add_option("--steps", options.steps, "Stop after so many steps of the epochs")
      ->type_name("N");
  command.add_option("--batch-size", options.batch_size, "Images of a training step")
      ->type_name("N");
  several(command
              .add_option("--learning-rate", options.learning_rates,
                          "Learning rate; several train as replicas at once")
              ->delimiter(',')
              ->type_name("R[,R...]"));
  command.add_option("--shuffle", options.shuffle, "A new order of the images for every epoch")
      ->type_name("on|off");
  command
      .add_option("--split", options.split, "Validation images: none, first:5000 or stratified:0.1")
      ->type_name("RULE");
  command
      .add_option("--log-every", options.log_every,
                  "Steps between the lines of steps.jsonl; 0: no such file")
      ->type_name("N");
  command
      .add_option("--precision", options.precision,
                  "Of matrix products and convolutions; mixed: operands rounded to half floats, "
                  "sums in f32")
      ->type_name("f32|mixed");
}

void change_experiment(nn::Experiment& experiment, const ExperimentOptions& options) {
  for (const std::string& text : options.set) {
    if (text.find('=') == std::string::npos) {
      throw UsageError(fmt::format("--set needs key=value, but it is '{}'.", text));
    }
  }
  nn::apply_overrides(experiment, options.set);

  std::vector<std::string> overrides;
  add_override(overrides, "training.seed", options.seed);
  add_override(overrides, "training.epochs", options.epochs);
  add_override(overrides, "training.steps", options.steps);
  add_override(overrides, "training.batch_size", options.batch_size);
  add_override(overrides, "training.log_every", options.log_every);
  add_override(overrides, "training.precision", options.precision);
  add_override(overrides, "data.split", options.split);
  if (options.shuffle) add_override(overrides, "data.shuffle", shuffle_value(*options.shuffle));
  // One value replaces a grid that the experiment may have.
  if (options.seed) overrides.push_back("training.seeds=[]");
  if (options.learning_rates.size() == 1) {
    add_override(overrides, "optimizer.learning_rate", options.learning_rates.front());
    overrides.push_back("optimizer.learning_rates=[]");
  } else if (!options.learning_rates.empty()) {
    overrides.push_back(
        fmt::format("optimizer.learning_rates=[{}]", fmt::join(options.learning_rates, ", ")));
  }
  nn::apply_overrides(experiment, overrides);

  if (!options.seeds) return;
  overrides = {"training.seeds=" + seeds_value(*options.seeds, experiment.training.seed)};
  nn::apply_overrides(experiment, overrides);
}

}  // namespace vktrain::app
