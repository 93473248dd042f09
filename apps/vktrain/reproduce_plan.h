// What `vktrain reproduce` is asked for: its arguments, and the experiments and runs they name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/vktrain/device_session.h"
#include "apps/vktrain/experiments.h"
#include "nn/experiment/experiment.h"
#include "nn/experiment/experiment_library.h"

namespace vktrain::app {

struct ReproduceArguments {
  std::vector<std::string> experiments;
  std::optional<std::string> suite;
  std::vector<std::string> reports;  // "a" to "e"
  ExperimentOptions changes;         // --set, --epochs and --seeds
  ComputeOptions compute;
  std::optional<std::string> data;
  std::string out = "runs/reproduce";
  std::string format = "table";
  std::string progress = "auto";
  bool restart = false;
};

// An experiment with its changes, and its runs.
struct ReproducePlan {
  nn::Experiment experiment;         // with a list of seeds
  std::vector<nn::Experiment> runs;  // single, one per seed
  bool trial = false;
};

// Of every experiment that is asked for. Throws UsageError when none is, an id, suite or report is
// unknown, or the changes do not fit an experiment.
std::vector<ReproducePlan> make_plans(const nn::ExperimentLibrary& library,
                                      const ReproduceArguments& arguments);

// The command line that repeats the reproduction, quoted for a shell.
std::string command_text(const ReproduceArguments& arguments);

// "training.epochs=1"
std::vector<std::string> change_texts(const ExperimentOptions& changes);

}  // namespace vktrain::app
