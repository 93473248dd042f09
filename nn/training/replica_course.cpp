#include "nn/training/replica_course.h"

#include "nn/layers/model.h"
#include "nn/training/checkpoint.h"

namespace vktrain::nn {

Hyperparameters hyperparameters_of(const Experiment& experiment) {
  Hyperparameters result;
  result.seed[0] = static_cast<std::uint32_t>(experiment.training.seed);
  result.seed[1] = static_cast<std::uint32_t>(experiment.training.seed >> 32);
  fill_hyperparameters(experiment.optimizer, result);
  const std::vector<double> dropout = dropout_probabilities(experiment);
  for (std::size_t i = 0; i < dropout.size(); ++i) {
    result.dropout[i] = static_cast<float>(dropout[i]);
  }
  return result;
}

ReplicaCourse::ReplicaCourse(const Experiment& experiment, std::int64_t steps)
    : optimizer_(experiment.optimizer),
      restore_best_(experiment.early_stopping.restore_best),
      rate_(experiment.schedule, experiment.optimizer.learning_rate, steps),
      stopping_(experiment.early_stopping) {}

std::vector<StepTableEntry> ReplicaCourse::step_table(std::int64_t steps_done, std::int64_t epoch,
                                                      std::int64_t count) const {
  std::vector<StepTableEntry> table;
  for (std::int64_t step = steps_done; step < steps_done + count; ++step) {
    table.push_back(step_table_entry(optimizer_, static_cast<std::uint64_t>(step + 1),
                                     learning_rate(step, epoch)));
  }
  return table;
}

void ReplicaCourse::end_epoch(const EpochMetrics& metrics, std::int64_t steps,
                              const ParameterStorage& storage, std::uint32_t replica) {
  steps_ += steps;
  batches_tracked_ += steps;
  if (metrics.validation) rate_.end_epoch(metrics.validation->loss);
  const bool best = stopping_.enabled() && metrics.validation &&
                    stopping_.add(metrics.epoch, *metrics.validation);
  const bool ends_with_best = restore_best_ && stopping_.enabled() && stopping_.best_epoch() > 0;
  if (ends_with_best && !best) return;
  ending_ = metrics;
  if (ends_with_best || stopped()) kept_ = export_parameters(storage, replica, batches_tracked_);
}

void ReplicaCourse::finish(ParameterStorage& storage, std::uint32_t replica) {
  if (!kept_) return;
  batches_tracked_ = import_parameters(storage, replica, *kept_);
  kept_.reset();
}

std::optional<EarlyStop> ReplicaCourse::early_stop() const {
  if (!stopping_.enabled()) return std::nullopt;
  return EarlyStop{.best_epoch = stopping_.best_epoch(),
                   .stopped_epoch = stopping_.stopped_epoch(),
                   .restored = restore_best_ && stopping_.best_epoch() > 0};
}

}  // namespace vktrain::nn
