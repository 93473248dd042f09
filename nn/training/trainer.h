// Trains replicas of one architecture: every step runs on the device; the host sends the order of
// the images and a table of learning rates once an epoch, and reads the metrics once an epoch. A
// replica that stops early is left as it is while the others train on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/data/image_set.h"
#include "nn/experiment/experiment.h"
#include "nn/fusion.h"
#include "nn/io/safetensors.h"
#include "nn/layers/model.h"
#include "nn/training/early_stopping.h"
#include "nn/training/metrics.h"
#include "nn/tuning/tuner.h"
#include "runtime/command_graph.h"

namespace vktrain::nn {

// Where a training stands, between two submissions.
struct TrainProgress {
  std::int64_t epoch = 0;  // from 1
  std::int64_t epochs = 0;
  std::int64_t step = 0;  // of all epochs, done
  std::int64_t steps = 0;
  double images_per_second = 0;  // of all replicas, this epoch
  double seconds_left = 0;       // estimate, for training steps
  StepRecord last;               // of replica 0
};

// Told what happens; the default ignores everything.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  virtual void on_progress(const TrainProgress&) {}
  virtual void on_steps(std::uint32_t /*replica*/, std::span<const StepRecord>) {}
  // Of a replica that has not stopped early.
  virtual void on_epoch(std::uint32_t /*replica*/, const EpochMetrics&) {}
  virtual void on_epoch_end(std::int64_t /*epoch*/) {}  // after on_epoch of every replica
};

struct TrainerOptions {
  FusionOptions fusion;
  bool profile = false;
  // Whether on_progress carries the last step's metrics (a read from the device per submission).
  bool progress_metrics = false;
  // Chooses the kernels of all plans of the trainer; null: the device profile's proposals.
  std::shared_ptr<Tuner> tuner = nullptr;
};

// Single experiments for the seeds and learning rates of one.
std::vector<Experiment> expand_replicas(const Experiment& experiment);

class Trainer {
 public:
  // One experiment per replica, each checked. They may differ in seed, initialisers, dropout
  // probabilities and optimizer numbers; anything else throws UsageError. Plans and records
  // everything, draws the initial parameters. The device must outlive the trainer.
  Trainer(runtime::Device& device, std::vector<Experiment> replicas, const ImageSet& train,
          const ImageSet& test, const TrainerOptions& options = {});
  ~Trainer();

  const std::vector<LayerSummary>& layers() const;
  std::int64_t parameter_count() const;
  std::uint32_t replicas() const;
  std::size_t dispatches_per_step() const;
  std::size_t levels_per_step() const;       // of independent dispatches: barriers
  std::int64_t planned_bytes() const;        // of activations of a full batch
  std::int64_t least_planned_bytes() const;  // no plan with this order of operations needs less

  // Parameters and running statistics of one replica, as PyTorch's state_dict names them.
  SafeTensors parameters(std::uint32_t replica) const;
  // Throws Error when names, shapes or types are not this model's.
  void load_parameters(std::uint32_t replica, const SafeTensors& tensors);

  // Trains to the end of the experiment, or until every replica has stopped early. Returns for
  // every replica the metrics of the epoch whose parameters it ends with: the last one, or the best
  // with early_stopping.restore_best.
  std::vector<EpochMetrics> train(TrainObserver& observer);
  // Trained by a replica; those of the epochs after its best one included.
  std::int64_t steps(std::uint32_t replica) const;
  std::optional<EarlyStop> early_stop(std::uint32_t replica) const;  // absent without it

  // Evaluates the present parameters.
  std::vector<EvaluationMetrics> evaluate_test();

  // Of the training steps; empty unless profiling.
  std::vector<runtime::DispatchTiming> timings() const;
  runtime::ProfileTrace trace() const;  // of the first steps

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vktrain::nn
