// The course of one replica through a training: its learning rates, when it stops early, and the
// parameters that it ends with. The device trains all replicas to the end; one that has stopped
// only sees its kept parameters come back.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "nn/experiment/experiment.h"
#include "nn/io/safetensors.h"
#include "nn/parameters.h"
#include "nn/training/early_stopping.h"
#include "nn/training/metrics.h"
#include "nn/training/schedule.h"

namespace vktrain::nn {

// The numbers of a replica that kernels read: seed, optimizer settings, dropout probabilities.
Hyperparameters hyperparameters_of(const Experiment& experiment);

class ReplicaCourse {
 public:
  // `steps`: of the whole training.
  ReplicaCourse(const Experiment& experiment, std::int64_t steps);

  // Entries for `count` steps of an epoch (from 1) that begins after `steps_done` steps.
  std::vector<StepTableEntry> step_table(std::int64_t steps_done, std::int64_t epoch,
                                         std::int64_t count) const;
  // Learning rate of step `step` (from 0, over all epochs) in an epoch (from 1).
  double learning_rate(std::int64_t step, std::int64_t epoch) const {
    return rate_.at(step, epoch - 1);
  }

  // After `steps` steps and the evaluations of an epoch. Keeps a copy of the parameters where the
  // replica may end with them. Not to be called once it has stopped.
  void end_epoch(const EpochMetrics& metrics, std::int64_t steps, const ParameterStorage& storage,
                 std::uint32_t replica);
  // Gives the replica the parameters that it ends with.
  void finish(ParameterStorage& storage, std::uint32_t replica);

  bool stopped() const { return stopping_.stopped(); }
  std::int64_t steps() const { return steps_; }         // trained so far
  const EpochMetrics& last() const { return ending_; }  // of the parameters that it ends with
  std::optional<EarlyStop> early_stop() const;          // absent without early stopping

  // Batches that batch norm has seen, those of a loaded model included.
  std::int64_t batches_tracked() const { return batches_tracked_; }
  void set_batches_tracked(std::int64_t batches) { batches_tracked_ = batches; }

 private:
  OptimizerConfig optimizer_;
  bool restore_best_;
  LearningRate rate_;
  EarlyStopping stopping_;
  std::int64_t steps_ = 0;
  std::int64_t batches_tracked_ = 0;
  EpochMetrics ending_;
  std::optional<SafeTensors> kept_;
};

}  // namespace vktrain::nn
