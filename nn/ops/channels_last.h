// Flatten in Keras's order: [batch, C, H, W] -> [batch, H * W * C] with the channels fastest.
// (PyTorch's order, channels first, moves nothing: flatten() of nn/ops/reshape.h.)
#pragma once

#include <string_view>

#include "nn/operation.h"

namespace vktrain::nn {

// Throws Error when x has no four dimensions. A view, as flatten(), where both orders are one: with
// one channel or one pixel.
ValueId flatten_channels_last(Graph& graph, ValueId x, std::string_view label);

// y[n, p, c] = x[n, c, p] for every example n, channel c and pixel p; with `inverse` back from
// channels last to channels first, which is the derivative.
class ChannelsLast : public Operation {
 public:
  ChannelsLast(ValueId x, ValueId y, bool inverse) : Operation({x}, {y}), inverse_(inverse) {}

  std::string_view kind() const override { return "channels_last"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId y() const { return outputs_[0]; }

 private:
  // A row of x is a matrix [rows, columns], a row of y its transpose.
  struct Factors {
    std::int64_t rows, columns;
  };
  Factors factors(const Graph& graph) const;

  bool inverse_;
};

}  // namespace vktrain::nn
