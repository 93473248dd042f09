#include "nn/reference/end_step.h"

#include <numeric>

namespace vktrain::nn::reference {
namespace {

double sum(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

void end_step(std::span<const double> loss, std::span<const double> correct,
              std::span<const double> penalty_parts, std::span<double> state,
              std::span<double> metrics) {
  const auto slot = static_cast<std::size_t>(state[1]) * 4;
  metrics[slot] = sum(loss) / static_cast<double>(loss.size());
  metrics[slot + 1] = sum(correct);
  metrics[slot + 2] = sum(penalty_parts);
  state[0] += 1;
  state[1] += 1;
}

}  // namespace vktrain::nn::reference
