// Convolutional layer: y = conv2d(x, W) + b, W [out, C/groups, kernel height, kernel width], b
// [out] (torch.nn.Conv2d, keras Conv2D).
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/graph.h"
#include "nn/ops/conv2d.h"

namespace vktrain::nn {

struct Conv2dLayerOptions {
  std::int64_t out = 0;  // channels
  Conv2dOptions convolution;
  bool bias = true;
  Initializer weight_initializer{InitializerKind::uniform_fan_in};
  Initializer bias_initializer{InitializerKind::uniform_fan_in};
};

// x [batch, C, H, W] -> [batch, out, OH, OW]. Declares "LABEL.weight" (not penalised) and
// "LABEL.bias". Fans as PyTorch and Keras count them, whatever the groups: fan_in = C/groups *
// kernel area, fan_out = out * kernel area.
ValueId conv2d_layer(Graph& graph, ValueId x, const Conv2dLayerOptions& options,
                     std::string_view label);

}  // namespace vktrain::nn
