// Maximum over windows. Ties go to the first element in row-major order, as in PyTorch; padding
// never wins, and a NaN only where it stands first in its window (PyTorch: wherever it stands). The
// forward pass notes which element won; in the backward pass the input elements gather the
// gradients of the windows that they won, so that overlapping windows need no atomics.
#pragma once

#include <string_view>

#include "nn/operation.h"
#include "nn/ops/activation.h"
#include "nn/ops/pool2d.h"
#include "nn/ops/window2d.h"

namespace vktrain::nn {

// x [batch, C, H, W] -> [batch, C, OH, OW]. Throws Error when x has not four dimensions, the window
// does not fit, or a window would lie in the padding alone. x holds no NaN.
ValueId max_pool2d(Graph& graph, ValueId x, const Window2d& window, std::string_view label);

// `winners` [batch, C, OH, OW], u32: h * W + w of the maximum, its place in the plane.
//
class MaxPool2d : public Operation {
 public:
  MaxPool2d(ValueId x, ValueId y, ValueId winners, const Pool2dSizes& sizes)
      : Operation({x}, {y, winners}), sizes_(sizes) {}

  std::string_view kind() const override { return "max_pool2d"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId y() const { return outputs_[0]; }
  ValueId winners() const { return outputs_[1]; }
  const Pool2dSizes& sizes() const { return sizes_; }
  // Where x is the output of an activation: which of x and y the gradient takes the activation's
  // derivative from.
  ValueId derivative_operand() const;

 private:
  Pool2dSizes sizes_;
};

class MaxPool2dBackward : public Operation {
 public:
  // dx is multiplied by the derivative of `gradient_activation`, taken from the activation's output
  // `gradient_output`, the pooling's derivative_operand(), where a fusion put them there.
  MaxPool2dBackward(ValueId dy, ValueId winners, ValueId dx, const Pool2dSizes& sizes,
                    const ActivationSpec& gradient_activation = {},
                    ValueId gradient_output = kNoValue);

  std::string_view kind() const override { return "max_pool2d_backward"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId dy() const { return inputs_[0]; }
  ValueId winners() const { return inputs_[1]; }
  ValueId dx() const { return outputs_[0]; }
  const Pool2dSizes& sizes() const { return sizes_; }
  const ActivationSpec& gradient_activation() const { return gradient_activation_; }
  ValueId gradient_output() const { return gradient_output_; }

 private:
  Pool2dSizes sizes_;
  ActivationSpec gradient_activation_;
  ValueId gradient_output_;
};

}  // namespace vktrain::nn
