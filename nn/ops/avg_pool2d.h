// Mean over windows, with or without counting the padding, and the mean over whole planes.
#pragma once

#include <string_view>

#include "nn/operation.h"
#include "nn/ops/pool2d.h"
#include "nn/ops/window2d.h"

namespace vktrain::nn {

// x [batch, C, H, W] -> [batch, C, OH, OW]. With `count_include_pad` (PyTorch's default) the
// divisor is the window's size, without (Keras) the number of its elements inside of the input.
// Throws Error when x has not four dimensions, the window does not fit, is dilated, or would lie in
// the padding alone.
ValueId avg_pool2d(Graph& graph, ValueId x, const Window2d& window, bool count_include_pad,
                   std::string_view label);

// x [batch, C, H, W] -> [batch, C]: one window over the whole plane.
ValueId global_avg_pool2d(Graph& graph, ValueId x, std::string_view label);

class AvgPool2d : public Operation {
 public:
  AvgPool2d(ValueId x, ValueId y, const Pool2dSizes& sizes, bool count_include_pad)
      : Operation({x}, {y}), sizes_(sizes), count_include_pad_(count_include_pad) {}

  std::string_view kind() const override { return "avg_pool2d"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId y() const { return outputs_[0]; }
  const Pool2dSizes& sizes() const { return sizes_; }
  bool count_include_pad() const { return count_include_pad_; }

 private:
  Pool2dSizes sizes_;
  bool count_include_pad_;
};

class AvgPool2dBackward : public Operation {
 public:
  AvgPool2dBackward(ValueId dy, ValueId dx, const Pool2dSizes& sizes, bool count_include_pad)
      : Operation({dy}, {dx}), sizes_(sizes), count_include_pad_(count_include_pad) {}

  std::string_view kind() const override { return "avg_pool2d_backward"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId dy() const { return inputs_[0]; }
  ValueId dx() const { return outputs_[0]; }
  const Pool2dSizes& sizes() const { return sizes_; }
  bool count_include_pad() const { return count_include_pad_; }

 private:
  Pool2dSizes sizes_;
  bool count_include_pad_;
};

}  // namespace vktrain::nn
