// Which experiment a command line means, and its changes.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/experiment/experiment.h"
#include "nn/experiment/experiment_library.h"

namespace CLI {
class App;
}

namespace vktrain::app {

nn::ExperimentLibrary built_in_experiments();

// A built-in id, or the path of a .toml file. Throws UsageError with the nearest id.
nn::Experiment resolve_experiment(std::string_view id_or_path);

// The options that change an experiment. Each stands for keys of the experiment; --set reaches all.
struct ExperimentOptions {
  std::vector<std::string> set;  // "key=value"
  std::optional<std::string> seed;
  std::optional<std::string> seeds;  // a count, or a list "1,2,3"
  std::optional<std::string> epochs;
  std::optional<std::string> steps;
  std::optional<std::string> batch_size;
  std::vector<std::string> learning_rates;
  std::optional<std::string> shuffle;  // "on" or "off"
  std::optional<std::string> split;
  std::optional<std::string> log_every;
  std::optional<std::string> precision;
};

void add_experiment_options(CLI::App& command, ExperimentOptions& options);

// Applies --set, then the other options; checks the result. Throws UsageError.
void change_experiment(nn::Experiment& experiment, const ExperimentOptions& options);

}  // namespace vktrain::app
