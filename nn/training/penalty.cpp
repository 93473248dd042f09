#include "nn/training/penalty.h"

#include <cmath>

namespace vktrain::nn {

double penalty_of(const ParameterStorage& storage, std::uint32_t replica,
                  const OptimizerConfig& optimizer) {
  if (optimizer.l1 == 0 && optimizer.l2 == 0) return 0;
  double absolute = 0, square = 0;
  const ParameterSet& set = storage.set();
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (!set[i].penalised) continue;
    for (const float weight : storage.read(i, replica)) {
      absolute += std::fabs(double{weight});
      square += double{weight} * double{weight};
    }
  }
  return optimizer.l1 * absolute + optimizer.l2 * square;
}

}  // namespace vktrain::nn
