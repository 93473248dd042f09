// Fully connected layer: y = x W^T + b, W [out, in], b [out] (torch.nn.Linear, keras Dense).
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/graph.h"

namespace vktrain::nn {

struct LinearOptions {
  std::int64_t out = 0;
  bool bias = true;
  Initializer weight_initializer{InitializerKind::uniform_fan_in};
  Initializer bias_initializer{InitializerKind::uniform_fan_in};
};

// x [batch, ...] is taken as [batch, in]. Declares "LABEL.weight" (penalised) and "LABEL.bias".
ValueId linear(Graph& graph, ValueId x, const LinearOptions& options, std::string_view label);

}  // namespace vktrain::nn
