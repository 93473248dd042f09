// When a replica has trained enough: its validation loss or accuracy has not become better for
// `patience` epochs (Keras' EarlyStopping).
#pragma once

#include <cstdint>
#include <optional>

#include "nn/experiment/experiment.h"
#include "nn/training/metrics.h"

namespace vktrain::nn {

// How early stopping ended a replica's training.
struct EarlyStop {
  std::int64_t best_epoch = 0;                // by the monitored value; 0: it never was a number
  std::optional<std::int64_t> stopped_epoch;  // the last one trained; absent: all were
  bool restored = false;                      // the parameters are the best epoch's

  bool operator==(const EarlyStop&) const = default;
};

class EarlyStopping {
 public:
  explicit EarlyStopping(const EarlyStoppingSpec& spec) : spec_(spec) {}

  bool enabled() const { return spec_.patience > 0; }
  bool stopped() const { return stopped_epoch_.has_value(); }
  std::int64_t best_epoch() const { return best_epoch_; }
  std::optional<std::int64_t> stopped_epoch() const { return stopped_epoch_; }

  // Takes the validation at the end of an epoch (from 1); true when it is the best so far. A value
  // that is not a number is no better.
  bool add(std::int64_t epoch, const EvaluationMetrics& validation);

 private:
  EarlyStoppingSpec spec_;
  std::optional<double> best_;  // as a value that falls
  std::int64_t best_epoch_ = 0;
  std::int64_t waited_ = 0;
  std::optional<std::int64_t> stopped_epoch_;
};

}  // namespace vktrain::nn
