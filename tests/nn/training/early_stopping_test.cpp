// Which epoch is the best, and when waiting ends.
#include "nn/training/early_stopping.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace vktrain::nn {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Feeds values until it stops.
EarlyStopping after(const EarlyStoppingSpec& spec, const std::vector<double>& values) {
  EarlyStopping stopping(spec);
  std::int64_t epoch = 0;
  for (const double value : values) {
    if (stopping.stopped()) break;
    stopping.add(++epoch, {.loss = value, .accuracy = value});
  }
  return stopping;
}

TEST(EarlyStopping, WaitsForPatienceEpochs) {
  const EarlyStopping two = after({.patience = 2}, {1.0, 0.5, 0.6, 0.4, 0.4, 0.5, 0.1});
  EXPECT_EQ(two.best_epoch(), 4);
  EXPECT_EQ(two.stopped_epoch(), 6);
  const EarlyStopping three = after({.patience = 3}, {1.0, 0.5, 0.6, 0.4, 0.4, 0.5, 0.1});
  EXPECT_EQ(three.best_epoch(), 7);
  EXPECT_FALSE(three.stopped());
}

TEST(EarlyStopping, AccuracyRises) {
  const EarlyStopping stopping =
      after({.patience = 1, .monitor = Monitor::val_accuracy}, {0.1, 0.5, 0.9, 0.9});
  EXPECT_EQ(stopping.best_epoch(), 3);
  EXPECT_EQ(stopping.stopped_epoch(), 4);
}

TEST(EarlyStopping, BetterIsByMoreThanMinDelta) {
  const EarlyStopping stopping = after({.patience = 2, .min_delta = 0.25}, {1.0, 0.8, 0.75, 0.7});
  EXPECT_EQ(stopping.best_epoch(), 1);
  EXPECT_EQ(stopping.stopped_epoch(), 3);
}

TEST(EarlyStopping, NotANumberIsNoBetter) {
  EXPECT_EQ(after({.patience = 2}, {kNan, 0.5, kNan, kNan}).best_epoch(), 2);
  const EarlyStopping never = after({.patience = 2}, {kNan, kNan, kNan});
  EXPECT_EQ(never.best_epoch(), 0);
  EXPECT_EQ(never.stopped_epoch(), 2);
}

TEST(EarlyStopping, OffWithoutPatience) {
  const EarlyStopping off = after({}, {0.1, 0.2, 0.3, 0.4});
  EXPECT_FALSE(off.enabled());
  EXPECT_FALSE(off.stopped());
}

}  // namespace
}  // namespace vktrain::nn
