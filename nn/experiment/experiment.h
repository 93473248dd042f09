// An experiment: everything that decides what a training run computes, as plain data. Its text form
// is TOML (nn/experiment/experiment_toml.h); docs/experiments.md explains every field.
//
// Two equal experiments give the same bits on the same device, driver and build.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/data/split.h"
#include "nn/initializers/initializer.h"
#include "nn/optimizers/optimizer.h"

namespace vktrain::nn {

enum class LayerType {
  flatten,
  linear,
  relu,
  tanh,
  sigmoid,
  elu,
  dropout,
  batch_norm,
  softmax,  // computed inside the loss; counts as a layer, and must be the last
};

// One layer of a chain. Each type reads the fields named beside them and leaves the others at the
// values here; nn/experiment/layer_spec.h knows which.
struct LayerSpec {
  LayerType type = LayerType::flatten;
  std::int64_t out = 0;   // linear: units
  bool bias = true;       // linear
  double p = 0.5;         // dropout: probability of a zero
  double eps = 1e-5;      // batch_norm
  double momentum = 0.1;  // batch_norm: weight of the new batch's statistics
  double alpha = 1;       // elu
  std::optional<Initializer> weight_init = std::nullopt;  // linear: instead of [init] weight
  std::optional<Initializer> bias_init = std::nullopt;    // linear: instead of [init] bias

  bool operator==(const LayerSpec&) const = default;
};

struct DataSpec {
  std::string dataset = "fashion-mnist";
  std::int64_t classes = 10;
  double mean = 0;  // x -> (x / 255 - mean) / std
  double std = 1;
  SplitRule split;
  bool shuffle = true;  // a new order for every epoch; false: the order of the file

  bool operator==(const DataSpec&) const = default;
};

struct ModelSpec {
  std::array<std::int64_t, 3> input = {1, 28, 28};  // [channels, height, width]
  std::vector<LayerSpec> layers;

  bool operator==(const ModelSpec&) const = default;
};

struct TrainingSpec {
  std::int64_t epochs = 10;
  std::int64_t steps = 0;  // stop after so many steps; 0: whole epochs
  std::int64_t batch_size = 512;
  std::int64_t val_batch_size = 512;
  std::int64_t test_batch_size = 256;
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> seeds;  // replicas with these seeds instead of one run with `seed`
  std::int64_t log_every = 0;        // steps between lines of steps.jsonl; 0: none

  bool operator==(const TrainingSpec&) const = default;
};

struct InitSpec {
  Initializer weight = {InitializerKind::uniform_fan_in, 0};  // kernels of linear layers
  Initializer bias = {InitializerKind::uniform_fan_in, 0};

  bool operator==(const InitSpec&) const = default;
};

enum class AccuracyRule {
  exact,       // correct / all
  batch_mean,  // unweighted mean of the batches' accuracies (and losses), a smaller last one
               // included
};

enum class TrainMetric {
  epoch_mean,  // mean over the epoch's batches, each measured before its update
  last_batch,  // value of the epoch's last batch
};

struct MetricsSpec {
  AccuracyRule accuracy = AccuracyRule::exact;
  TrainMetric train = TrainMetric::epoch_mean;
  bool loss_includes_penalty = false;  // Keras: L1 and L2 are part of every reported loss

  bool operator==(const MetricsSpec&) const = default;
};

enum class Completeness {
  complete,         // every setting is stated, derived or confirmed
  assumed_details,  // some settings are assumed; marked *
  prose_only,       // described in words only, values guessed; marked **
};

// What the report printed for this run. Accuracies are fractions, times seconds.
struct ReportedResults {
  Completeness completeness = Completeness::complete;
  std::optional<double> test_accuracy;
  std::optional<double> val_accuracy;
  std::optional<double> accuracy;  // of a set that the report does not name
  std::optional<double> sigma;     // of the test accuracy
  std::optional<double> train_loss;
  std::optional<double> val_loss;
  std::optional<double> test_loss;
  std::optional<double> train_seconds;
  std::optional<double> efficiency;             // weights per second of training
  std::optional<std::int64_t> parameter_count;  // of a built-in run it must agree with the layers
  std::int64_t repeats = 1;                     // networks behind the reported mean
  std::vector<std::string> assumed;             // "field: reason"

  bool operator==(const ReportedResults&) const = default;
};

struct Experiment {
  std::string id;  // letters, digits, '.', '_', '-'
  std::string description;
  std::string report;  // "a" to "e"; empty: not from a report
  std::vector<std::string> notes;
  DataSpec data;
  ModelSpec model;
  TrainingSpec training;
  // The penalties l1 and l2 stand in the text's section [penalty].
  OptimizerConfig optimizer;
  std::vector<double> learning_rates;  // replicas with these rates; empty: optimizer.learning_rate
  InitSpec init;
  MetricsSpec metrics;
  ReportedResults reported;

  bool operator==(const Experiment&) const = default;
};

// The numbers that single runs differ in when an experiment trains replicas.
struct ReplicaSpec {
  std::uint64_t seed = 0;
  double learning_rate = 0;

  bool operator==(const ReplicaSpec&) const = default;
};

// Every seed with every learning rate, the rates varying fastest; one entry without a grid.
std::vector<ReplicaSpec> replicas_of(const Experiment& experiment);

// Trainable values of the model: weights, biases, batch norm's gamma and beta. Needs a model that
// `check` accepts.
std::int64_t parameter_count(const Experiment& experiment);

// Throws UsageError when settings do not fit together: layer sizes, probabilities, batch sizes, a
// last layer that does not give a value per class, optimizer settings that the kind does not read.
// The message names the key, or the layer by index and type, what was expected and what was found.
void check(const Experiment& experiment);

// "linear", "batch_norm", ...
std::string_view name_of(LayerType type);

}  // namespace vktrain::nn
