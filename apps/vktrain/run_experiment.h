// Trains one experiment, or the replicas that it asks for, and writes the run folder.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/vktrain/interrupt.h"
#include "apps/vktrain/progress.h"
#include "nn/data/fashion_mnist.h"
#include "nn/experiment/experiment.h"
#include "nn/io/safetensors.h"
#include "nn/training/run_folder.h"
#include "nn/tuning/tuner.h"
#include "runtime/command_graph.h"

namespace vktrain::app {

struct InitialParameters {
  std::filesystem::path file;  // where they come from, for messages
  nn::SafeTensors tensors;
};

struct RunOptions {
  // Must not exist or be empty. Absent: runs/<id>, or with -2, -3, ... where that exists.
  std::optional<std::filesystem::path> folder;
  std::optional<InitialParameters> initial;  // to start from, for every replica
  bool profile = false;
  std::shared_ptr<nn::Tuner> tuner = nullptr;  // see TrainerOptions
};

struct ReplicaRun {
  std::string name;           // "" for a single run, else its folder in the run's: "seed-0"
  nn::Experiment experiment;  // single
  nn::RunResult result;
  nn::SafeTensors parameters;
};

struct RunOutcome {
  std::filesystem::path folder;
  std::vector<ReplicaRun> replicas;
  std::vector<runtime::DispatchTiming> timings;  // empty unless profiling
  std::optional<std::filesystem::path> trace;    // absent unless profiling
};

// The folder has the files of nn/training/run_folder.h. With replicas it has one such folder for
// each, a config.toml and device.json of the whole, and a result.json with means and deviations.
// Nothing is made before the experiment is known to fit the data and the device. Throws Interrupted
// after Ctrl-C, Error otherwise; then the folder keeps the metrics of the epochs that ended and has
// no result.json.
RunOutcome run_experiment(runtime::Device& device, const nn::FashionMnist& data,
                          const nn::Experiment& experiment, const RunOptions& options,
                          Progress& progress);

// "a-fcn-100k: test accuracy 0.8870 (reported 0.8870), ..."; for replicas a line each and one with
// the means. Then the accuracy of each class, and the confusion that is most frequent, over all
// replicas together.
std::string result_text(const nn::Experiment& experiment, const RunOutcome& outcome);

}  // namespace vktrain::app
