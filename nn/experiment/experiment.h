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
#include "nn/precision.h"

namespace vktrain::nn {

enum class LayerType {
  flatten,
  linear,
  conv2d,
  max_pool2d,
  avg_pool2d,
  global_avg_pool2d,
  relu,
  tanh,
  sigmoid,
  elu,
  leaky_relu,
  gelu,
  silu,
  dropout,
  dropout2d,
  batch_norm,
  add,
  concat,
  softmax,  // computed inside the loss; counts as a layer, and must be the last
};

enum class FlattenOrder {
  channels_first,  // PyTorch
  channels_last,   // Keras
};

enum class PaddingRule {
  explicit_sizes,  // `padding`, on both sides
  same,            // Keras: as many outputs as inputs / stride, rounded up
  valid,           // none
};

using Pair = std::array<std::int64_t, 2>;  // height, width

// One layer of a model. Each type reads the fields named beside them and leaves the others at the
// values here; nn/experiment/layer_spec.h knows which.
struct LayerSpec {
  LayerType type = LayerType::flatten;
  std::string name = {};  // empty: the layer's position
  // Names of layers, "input" for the images; empty: the layer before.
  std::vector<std::string> inputs = {};
  std::int64_t out = 0;  // linear: units; conv2d: channels
  bool bias = true;      // linear, conv2d
  Pair kernel = {1, 1};  // conv2d, max_pool2d, avg_pool2d; default_layer has none
  // conv2d: 1 if absent; max_pool2d, avg_pool2d: the kernel's size if absent.
  std::optional<Pair> stride = std::nullopt;
  Pair padding = {0, 0};  // conv2d, max_pool2d, avg_pool2d
  PaddingRule padding_rule = PaddingRule::explicit_sizes;
  Pair dilation = {1, 1};                                 // conv2d, max_pool2d
  std::int64_t groups = 1;                                // conv2d
  bool count_include_pad = true;                          // avg_pool2d
  FlattenOrder order = FlattenOrder::channels_first;      // flatten
  double p = 0.5;                                         // dropout, dropout2d: of a zero
  double eps = 1e-5;                                      // batch_norm
  double momentum = 0.1;                                  // batch_norm: weight of the new batch
  double alpha = 1;                                       // elu; leaky_relu: slope below 0
  std::optional<Initializer> weight_init = std::nullopt;  // linear, conv2d: instead of [init]
  std::optional<Initializer> bias_init = std::nullopt;    // linear, conv2d: instead of [init]

  bool operator==(const LayerSpec&) const = default;
};

// A layer of this type as its text "TYPE" reads: with the type's own defaults (leaky_relu: alpha
// 0.01), and what must be given at a value that `check` refuses (linear: out 0).
LayerSpec default_layer(LayerType type);

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
  // Share of the target that is spread over all classes, as PyTorch's CrossEntropyLoss does; of the
  // training loss alone: validation and test losses are without.
  double label_smoothing = 0;
  double clip_norm = 0;   // largest 2-norm of all gradients together; 0: no limit
  double clip_value = 0;  // largest magnitude of a gradient's element; 0: no limit
  Precision precision = Precision::f32;

  bool operator==(const TrainingSpec&) const = default;
};

struct InitSpec {
  Initializer weight = {InitializerKind::uniform_fan_in, 0};  // kernels of linear layers
  Initializer bias = {InitializerKind::uniform_fan_in, 0};

  bool operator==(const InitSpec&) const = default;
};

enum class ScheduleKind {
  constant,
  step,         // times gamma every `step_size` epochs
  multi_step,   // times gamma at each of `milestones`
  exponential,  // times gamma every epoch
  cosine,       // down to `min_learning_rate` at the end
  one_cycle,    // up to the learning rate over `warmup_fraction` of the steps, then down
  plateau,      // times gamma after `patience` epochs without a better validation loss
};

// How the learning rate changes: PyTorch's lr_scheduler classes of the same names. Warm-up, the
// cosine and the cycle go by steps, the others by epochs.
struct ScheduleSpec {
  ScheduleKind kind = ScheduleKind::constant;
  std::int64_t step_size = 10;                // step: epochs
  std::vector<std::int64_t> milestones = {};  // multi_step: epochs done
  double gamma = 0.1;                         // step, multi_step, exponential, plateau
  double min_learning_rate = 0;               // cosine, plateau
  double warmup_fraction = 0.3;               // one_cycle
  double div_factor = 25;                     // one_cycle: starts at learning rate / div_factor
  double final_div_factor = 1e4;              // one_cycle: ends at the start / final_div_factor
  std::int64_t patience = 10;                 // plateau
  double threshold = 1e-4;                    // plateau: relative change that counts as better
  std::int64_t warmup_steps = 0;              // linear from 0, before and together with any kind

  bool operator==(const ScheduleSpec&) const = default;
};

enum class Monitor { val_loss, val_accuracy };

struct EarlyStoppingSpec {
  std::int64_t patience = 0;  // epochs without a better value; 0: never stops early
  Monitor monitor = Monitor::val_loss;
  double min_delta = 0;      // change that counts as better
  bool restore_best = true;  // ends with the parameters of the best epoch

  bool operator==(const EarlyStoppingSpec&) const = default;
};

// Random changes to training images, drawn anew for every image and epoch, on the device. What a
// shift or crop brings in from outside is a 0 byte.
struct AugmentationSpec {
  double horizontal_flip = 0;     // probability
  std::int64_t shift = 0;         // up to so many pixels in each direction
  std::int64_t crop_padding = 0;  // pads so many pixels and crops back to the size at random

  bool operator==(const AugmentationSpec&) const = default;
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
  // Of the test images, row-major: [true class][predicted class]; empty: not reported.
  std::vector<std::int64_t> confusion_matrix = {};
  std::vector<std::string> assumed;  // "field: reason"

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
  ScheduleSpec schedule;
  EarlyStoppingSpec early_stopping;
  AugmentationSpec augmentation;
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
