#include "nn/precision.h"

#include <bit>

#include "nn/graph.h"
#include "nn/operation.h"

namespace vktrain::nn {

std::string_view to_string(Precision precision) {
  return precision == Precision::mixed ? "mixed" : "f32";
}

void set_precision(Graph& graph, Precision precision) {
  for (const auto& operation : graph.operations()) operation->precision = precision;
}

float loss_scale(std::int64_t batch) {
  constexpr float kLargestLogitGradient = 16;
  return kLargestLogitGradient *
         static_cast<float>(std::bit_ceil(static_cast<std::uint64_t>(batch)));
}

}  // namespace vktrain::nn
