// Double-precision twin of nn/ops/end_step.
#pragma once

#include <span>

namespace vktrain::nn::reference {

// Writes mean loss, hits and penalty of the step to metrics[step_in_epoch] ([steps, 4]) and
// advances both counters of the state ([step, step_in_epoch, ...]).
void end_step(std::span<const double> loss, std::span<const double> correct,
              std::span<const double> penalty_parts, std::span<double> state,
              std::span<double> metrics);

}  // namespace vktrain::nn::reference
