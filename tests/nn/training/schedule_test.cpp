// Learning rates against numbers that PyTorch 1.13's lr_scheduler classes gave.
#include "nn/training/schedule.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace vktrain::nn {
namespace {

// Epochs of one step each, so that what goes by epochs and what goes by steps count alike.
std::vector<double> rates(const ScheduleSpec& schedule, double rate, std::int64_t steps,
                          const std::vector<double>& losses = {}) {
  LearningRate schedule_of_replica(schedule, rate, steps);
  std::vector<double> result;
  for (std::int64_t i = 0; i < steps; ++i) {
    result.push_back(schedule_of_replica.at(i, i));
    if (!losses.empty()) schedule_of_replica.end_epoch(losses.at(static_cast<std::size_t>(i)));
  }
  return result;
}

void expect_rates(const std::vector<double>& found, const std::vector<double>& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], wanted[i], 1e-14) << "step " << i;
  }
}

TEST(Schedule, ConstantStays) { expect_rates(rates({}, 0.1, 3), {0.1, 0.1, 0.1}); }

// StepLR(step_size=3, gamma=0.5): lr * gamma^(epoch / step_size).
TEST(Schedule, Step) {
  expect_rates(rates({.kind = ScheduleKind::step, .step_size = 3, .gamma = 0.5}, 0.1, 8),
               {0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025});
}

// MultiStepLR(milestones=[2, 3, 6], gamma=0.3): lr * gamma^(milestones that are done).
TEST(Schedule, MultiStep) {
  expect_rates(
      rates({.kind = ScheduleKind::multi_step, .milestones = {2, 3, 6}, .gamma = 0.3}, 0.1, 8),
      {0.1, 0.1, 0.03, 0.009, 0.009, 0.009, 0.0027, 0.0027});
}

// ExponentialLR(gamma=0.9): lr * gamma^epoch.
TEST(Schedule, Exponential) {
  expect_rates(rates({.kind = ScheduleKind::exponential, .gamma = 0.9}, 0.1, 6),
               {0.1, 0.09, 0.081, 0.0729, 0.06561, 0.059049});
}

// CosineAnnealingLR(T_max=10, eta_min=0.01): min + (lr - min) (1 + cos(pi step / T_max)) / 2.
TEST(Schedule, Cosine) {
  expect_rates(
      rates({.kind = ScheduleKind::cosine, .min_learning_rate = 0.01}, 0.2, 10),
      {0.2, 0.1953503690480396, 0.18185661446562001, 0.16083959896778496, 0.13435661446562, 0.105,
       0.07564338553437999, 0.04916040103221506, 0.028143385534380005, 0.014649630951960414});
}

// OneCycleLR(total_steps, anneal_strategy="cos", cycle_momentum=False): the same half cosines from
// lr / div_factor to lr at step pct_start total_steps - 1, and on to the start / final_div_factor.
TEST(Schedule, OneCycle) {
  const ScheduleSpec short_rise = {.kind = ScheduleKind::one_cycle,
                                   .warmup_fraction = 0.25,
                                   .div_factor = 10,
                                   .final_div_factor = 100};
  expect_rates(
      rates(short_rise, 0.4, 12),
      {0.04, 0.22, 0.4, 0.38795058563302454, 0.3532556797351718, 0.3001, 0.23489490589785272,
       0.16550509410214734, 0.1003, 0.04714432026482821, 0.012449414366975518, 0.0004});
  expect_rates(rates({.kind = ScheduleKind::one_cycle}, 0.01, 11),
               {0.0004, 0.004223411137347358, 0.009602614247226174, 0.009797465678213015,
                0.008844757247686304, 0.007260870492975283, 0.005305827080875998,
                0.0033005802898729494, 0.0015743251279950786, 0.00041045543206290856, 4e-08});
}

TEST(Schedule, OneCycleOfFewSteps) {
  ScheduleSpec schedule = {.kind = ScheduleKind::one_cycle, .warmup_fraction = 0.1};
  EXPECT_EQ(rates(schedule, 0.5, 10).front(), 0.5);  // the rise is the first step
  EXPECT_NEAR(rates(schedule, 0.5, 1).front(), 0.5 / 25 / 1e4, 1e-14);
  schedule.warmup_fraction = 1;
  EXPECT_EQ(rates(schedule, 0.5, 1).front(), 0.5);
  EXPECT_EQ(rates(schedule, 0.5, 4).back(), 0.5);
}

// ReduceLROnPlateau("min", factor=0.2, patience=1, threshold=1e-3, threshold_mode="rel",
// min_lr=0.001).
TEST(Schedule, Plateau) {
  const ScheduleSpec schedule = {.kind = ScheduleKind::plateau,
                                 .gamma = 0.2,
                                 .min_learning_rate = 0.001,
                                 .patience = 1,
                                 .threshold = 1e-3};
  expect_rates(
      rates(schedule, 0.1, 16,
            {1.0, 0.9, 0.8999, 0.91, 0.905, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4}),
      {0.1, 0.1, 0.1, 0.1, 0.02, 0.02, 0.02, 0.02, 0.02, 0.004, 0.004, 0.001, 0.001, 0.001, 0.001,
       0.001});
}

TEST(Schedule, PlateauTakesANonNumberForNoBetter) {
  const ScheduleSpec schedule = {.kind = ScheduleKind::plateau, .gamma = 0.5, .patience = 0};
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  expect_rates(rates(schedule, 0.8, 4, {1.0, kNan, 0.5, kNan}), {0.8, 0.8, 0.4, 0.4});
}

// LinearLR(start_factor=1/5, total_iters=4): 1/5, 2/5, ... of the rate.
TEST(Schedule, WarmUp) {
  expect_rates(rates({.warmup_steps = 5}, 0.1, 7), {0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1});
}

// ChainedScheduler of LinearLR(start_factor=1/4, total_iters=3) and CosineAnnealingLR(T_max=8).
TEST(Schedule, WarmUpTogetherWithAnotherKind) {
  expect_rates(rates({.kind = ScheduleKind::cosine, .warmup_steps = 4}, 0.1, 8),
               {0.025, 0.04809698831278217, 0.06401650429449553, 0.06913417161825448, 0.05,
                0.030865828381745508, 0.014644660940672623, 0.0038060233744356626});
  // The plateau's own rate goes on without the warm-up's share.
  expect_rates(
      rates({.kind = ScheduleKind::plateau, .gamma = 0.5, .patience = 0, .warmup_steps = 2}, 0.8, 3,
            {1, 1, 1}),
      {0.4, 0.8, 0.4});
}

// Epochs of many steps: step, multi-step and exponential change between epochs only.
TEST(Schedule, EpochsCountApartFromSteps) {
  const ScheduleSpec by_epoch = {.kind = ScheduleKind::step, .step_size = 1, .gamma = 0.5};
  EXPECT_EQ(LearningRate(by_epoch, 1, 100).at(9, 0), 1.0);
  EXPECT_EQ(LearningRate(by_epoch, 1, 100).at(10, 1), 0.5);
  const ScheduleSpec by_step = {.kind = ScheduleKind::cosine};
  EXPECT_NEAR(LearningRate(by_step, 1, 100).at(50, 0), 0.5, 1e-15);
}

}  // namespace
}  // namespace vktrain::nn
