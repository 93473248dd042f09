// L1 and L2 penalty of a replica's present weights, for losses that include it.
#pragma once

#include <cstdint>

#include "nn/optimizers/optimizer.h"
#include "nn/parameters.h"

namespace vktrain::nn {

// l2 * sum w^2 + l1 * sum |w| over the penalised parameters, in double on the host.
double penalty_of(const ParameterStorage& storage, std::uint32_t replica,
                  const OptimizerConfig& optimizer);

}  // namespace vktrain::nn
