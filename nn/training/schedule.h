// Learning-rate schedules: the rate of every step of a training, with the definitions of PyTorch's
// lr_scheduler classes StepLR, MultiStepLR, ExponentialLR (stepped once an epoch),
// CosineAnnealingLR and OneCycleLR (stepped once a step over all steps, cos, without momentum),
// ReduceLROnPlateau (mode min, threshold rel, on the validation loss) and LinearLR (the warm-up).
#pragma once

#include <cstdint>
#include <limits>

#include "nn/experiment/experiment.h"

namespace vktrain::nn {

// Where a training stands when a step begins.
struct ScheduleClock {
  std::int64_t step = 0;   // from 0, over all epochs
  std::int64_t epoch = 0;  // from 0
  std::int64_t steps = 1;  // of the whole training
};

// Learning rate of a step, warm-up included. Of `plateau` only the warm-up: what it does depends on
// the losses, which LearningRate follows.
double scheduled_rate(const ScheduleSpec& schedule, double rate, const ScheduleClock& clock);

// LinearLR with start_factor 1 / warmup_steps and total_iters warmup_steps - 1: step k of the first
// warmup_steps (from 1) has the share k / warmup_steps of the rate; 1 without warm-up.
double warmup_factor(const ScheduleSpec& schedule, std::int64_t step);

// ReduceLROnPlateau, with cooldown 0 and eps 1e-8.
class PlateauRate {
 public:
  PlateauRate(const ScheduleSpec& schedule, double rate) : schedule_(schedule), rate_(rate) {}

  double rate() const { return rate_; }
  void end_epoch(double validation_loss);  // a loss that is not a number is no better

 private:
  ScheduleSpec schedule_;
  double rate_;
  double best_ = std::numeric_limits<double>::infinity();
  std::int64_t bad_epochs_ = 0;
};

// The rate of one replica through its training.
class LearningRate {
 public:
  LearningRate(const ScheduleSpec& schedule, double rate, std::int64_t steps)
      : schedule_(schedule), rate_(rate), steps_(steps), plateau_(schedule, rate) {}

  // Of a step of an epoch, both from 0 (the step over all epochs).
  double at(std::int64_t step, std::int64_t epoch) const;
  // Of `plateau`; the others need not be told.
  void end_epoch(double validation_loss) { plateau_.end_epoch(validation_loss); }

 private:
  ScheduleSpec schedule_;
  double rate_;
  std::int64_t steps_;
  PlateauRate plateau_;
};

}  // namespace vktrain::nn
