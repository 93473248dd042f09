// Operations on [batch, C, H, W] as cases, whose values are [batch, columns].
#pragma once

#include <cstdint>
#include <functional>

#include "nn/check/operation_case.h"

namespace vktrain::nn {

struct ImageShape {
  std::int64_t batch, channels, height, width;

  std::int64_t columns() const { return channels * height * width; }
  Shape shape() const { return {kBatch, channels, height, width}; }
};

// A case whose x is seen as an image by `build`; what `build` makes is flattened.
OperationCase image_case(const ImageShape& image, std::uint64_t seed,
                         std::function<ValueId(Graph&, ValueId x)> build);

}  // namespace vktrain::nn
