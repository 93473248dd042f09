// Delete when conv2d_tiled.cpp and conv2d_depthwise.cpp arrive; until then everything links.
#include <stdexcept>

#include "nn/ops/conv2d_variants.h"

namespace vktrain::nn {
#define VKTRAIN_PENDING(space, Operands)                                                \
  void space::lower(Lowering&, std::string_view, const Conv2dSizes&, const Operands&) { \
    throw std::logic_error("this convolution kernel is being written");                 \
  }
VKTRAIN_PENDING(conv2d_tiled, Conv2dForward)
VKTRAIN_PENDING(conv2d_tiled, Conv2dDataGradientOperands)
VKTRAIN_PENDING(conv2d_tiled, Conv2dWeightGradientOperands)
VKTRAIN_PENDING(conv2d_depthwise, Conv2dForward)
VKTRAIN_PENDING(conv2d_depthwise, Conv2dDataGradientOperands)
VKTRAIN_PENDING(conv2d_depthwise, Conv2dWeightGradientOperands)
#undef VKTRAIN_PENDING
}  // namespace vktrain::nn
