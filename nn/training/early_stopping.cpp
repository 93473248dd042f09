#include "nn/training/early_stopping.h"

#include <cmath>

namespace vktrain::nn {

bool EarlyStopping::add(std::int64_t epoch, const EvaluationMetrics& validation) {
  const double value = spec_.monitor == Monitor::val_loss ? validation.loss : -validation.accuracy;
  const bool better = best_ ? value < *best_ - spec_.min_delta : !std::isnan(value);
  if (better) {
    best_ = value;
    best_epoch_ = epoch;
    waited_ = 0;
  } else {
    ++waited_;
  }
  if (enabled() && waited_ >= spec_.patience) stopped_epoch_ = epoch;
  return better;
}

}  // namespace vktrain::nn
