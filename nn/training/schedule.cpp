#include "nn/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace vktrain::nn {
namespace {

// From `start` at share 0 to `end` at share 1 along half a cosine.
double annealed(double start, double end, double share) {
  return end + (start - end) / 2 * (1 + std::cos(std::numbers::pi * share));
}

double cosine_rate(const ScheduleSpec& s, double rate, const ScheduleClock& clock) {
  return annealed(rate, s.min_learning_rate,
                  static_cast<double>(clock.step) / static_cast<double>(clock.steps));
}

// OneCycleLR: from rate / div_factor up to the rate until step warmup_fraction * steps - 1, then
// down to the start / final_div_factor at the last step. PyTorch divides by 0 where the rise has no
// step but the first; here that step has the whole rate.
double one_cycle_rate(const ScheduleSpec& s, double rate, const ScheduleClock& clock) {
  const auto step = static_cast<double>(clock.step);
  const double last = static_cast<double>(clock.steps) - 1;
  const double peak = s.warmup_fraction * static_cast<double>(clock.steps) - 1;
  const double start = rate / s.div_factor;
  if (step <= peak) return peak > 0 ? annealed(start, rate, step / peak) : rate;
  return annealed(rate, start / s.final_div_factor, (step - peak) / (last - peak));
}

double scheduled_without_warmup(const ScheduleSpec& s, double rate, const ScheduleClock& clock) {
  const auto times_gamma = [&](std::int64_t times) {
    return rate * std::pow(s.gamma, static_cast<double>(times));
  };
  switch (s.kind) {
    case ScheduleKind::constant:
    case ScheduleKind::plateau:
      break;
    case ScheduleKind::step:
      return times_gamma(clock.epoch / s.step_size);
    case ScheduleKind::multi_step:
      return times_gamma(std::count_if(s.milestones.begin(), s.milestones.end(),
                                       [&](std::int64_t m) { return m <= clock.epoch; }));
    case ScheduleKind::exponential:
      return times_gamma(clock.epoch);
    case ScheduleKind::cosine:
      return cosine_rate(s, rate, clock);
    case ScheduleKind::one_cycle:
      return one_cycle_rate(s, rate, clock);
  }
  return rate;
}

}  // namespace

double warmup_factor(const ScheduleSpec& schedule, std::int64_t step) {
  if (step + 1 >= schedule.warmup_steps) return 1;
  return static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps);
}

double scheduled_rate(const ScheduleSpec& schedule, double rate, const ScheduleClock& clock) {
  return scheduled_without_warmup(schedule, rate, clock) * warmup_factor(schedule, clock.step);
}

void PlateauRate::end_epoch(double validation_loss) {
  constexpr double kLeastChange = 1e-8;  // PyTorch's eps
  if (validation_loss < best_ * (1 - schedule_.threshold)) {
    best_ = validation_loss;
    bad_epochs_ = 0;
  } else {
    ++bad_epochs_;
  }
  if (bad_epochs_ <= schedule_.patience) return;
  bad_epochs_ = 0;
  const double reduced = std::max(rate_ * schedule_.gamma, schedule_.min_learning_rate);
  if (rate_ - reduced > kLeastChange) rate_ = reduced;
}

double LearningRate::at(std::int64_t step, std::int64_t epoch) const {
  const double rate = schedule_.kind == ScheduleKind::plateau ? plateau_.rate() : rate_;
  return scheduled_rate(schedule_, rate, {.step = step, .epoch = epoch, .steps = steps_});
}

}  // namespace vktrain::nn
