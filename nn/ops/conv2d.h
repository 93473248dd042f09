// Two-dimensional convolution (cross-correlation, as every framework means it):
//   y[n, o, h, w] = sum over c, i, j of W[o, c, i, j] x[n, g * C/groups + c, h * sh - ph + i * dh,
//                                                        w * sw - pw + j * dw]
// where g is the group of output channel o and x is 0 outside of its borders. Each of the three
// passes is an implicit matrix product: no im2col buffer.
#pragma once

#include <string_view>

#include "nn/operation.h"
#include "nn/ops/activation.h"
#include "nn/ops/window2d.h"

namespace vktrain::nn {

struct Conv2dOptions {
  Window2d window;
  std::int64_t groups = 1;

  bool operator==(const Conv2dOptions&) const = default;
};

// x [batch, C, H, W], weight [O, C/groups, kernel height, kernel width] -> [batch, O, OH, OW].
// Throws Error when the shapes do not fit. A window that covers the whole input without padding
// becomes a matrix product.
ValueId conv2d(Graph& graph, ValueId x, ValueId weight, const Conv2dOptions& options,
               std::string_view label);

// What kernels must know of one convolution.
struct Conv2dSizes {
  Window2d window;
  std::int64_t groups = 1;
  std::int64_t batch = 0;
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  Size2d input;
  Size2d output;
  Precision precision = Precision::f32;  // depthwise ones are always f32
  // The output is there only as the maxima of its tiles of 2 x 2 and their packed winners.
  bool pooled = false;

  bool depthwise() const { return groups > 1 && in_channels == groups; }
};

// Of an x [batch, C, H, W], which may hold kBatch.
Conv2dSizes conv2d_sizes(const Shape& x, std::int64_t out_channels, const Conv2dOptions& options);

// Merged into the forward pass by fusions; absent ones are kNoValue or Activation::none.
//
// A max pooling over tiles of 2 x 2 leaves a word for each row of at most 16 tiles, the packed
// winners: bits 2 w and 2 w + 1 say of tile w whether an element of its right column and of its
// lower row won; ties go to the first element, as in nn/ops/max_pool2d.h. Convolutions with packed
// winners have kernels only where conv2d_rows::pools; elsewhere planning them throws
// std::logic_error.
struct Conv2dEpilogue {
  ValueId bias = kNoValue;  // [O]
  ActivationSpec activation;
  // Packed winners [batch, O, OH / 2], u32, of a max pooling, which comes last: y is
  // [batch, O, OH / 2, OW / 2].
  ValueId winners = kNoValue;

  bool operator==(const Conv2dEpilogue&) const = default;
};

class Conv2d : public Operation {
 public:
  Conv2d(ValueId x, ValueId weight, ValueId y, const Conv2dOptions& options,
         const Conv2dEpilogue& epilogue = {});

  std::string_view kind() const override { return "conv2d"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId weight() const { return inputs_[1]; }
  ValueId y() const { return outputs_[0]; }
  const Conv2dOptions& options() const { return options_; }
  const Conv2dEpilogue& epilogue() const { return epilogue_; }

 private:
  Conv2dOptions options_;
  Conv2dEpilogue epilogue_;
};

// dx from dy and the weights, in gather form: every element of dx sums the outputs that read it.
class Conv2dDataGradient : public Operation {
 public:
  // dx is multiplied by the derivative of `gradient_activation`, taken from the activation's output
  // `gradient_output` [batch, C, H, W], where a fusion put them there. With packed `winners` dy is
  // the gradient of the pooled output.
  Conv2dDataGradient(ValueId dy, ValueId weight, ValueId dx, const Conv2dOptions& options,
                     const ActivationSpec& gradient_activation = {},
                     ValueId gradient_output = kNoValue, ValueId winners = kNoValue);

  std::string_view kind() const override { return "conv2d_data_gradient"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId dy() const { return inputs_[0]; }
  ValueId weight() const { return inputs_[1]; }
  ValueId dx() const { return outputs_[0]; }
  const Conv2dOptions& options() const { return options_; }
  const ActivationSpec& gradient_activation() const { return gradient_activation_; }
  ValueId gradient_output() const { return gradient_output_; }
  ValueId winners() const { return winners_; }

 private:
  Conv2dOptions options_;
  ActivationSpec gradient_activation_;
  ValueId gradient_output_;
  ValueId winners_;
};

// dW from dy and x, and where a fusion asks for it the bias gradient: the sums of dy over batch,
// height and width. The sum over the batch is split; a second pass adds the parts in fixed order.
class Conv2dWeightGradient : public Operation {
 public:
  // With packed `winners` dy is the gradient of the pooled output.
  Conv2dWeightGradient(ValueId dy, ValueId x, ValueId dweight, const Conv2dOptions& options,
                       ValueId dbias = kNoValue, ValueId winners = kNoValue);

  std::string_view kind() const override { return "conv2d_weight_gradient"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId dy() const { return inputs_[0]; }
  ValueId x() const { return inputs_[1]; }
  ValueId dweight() const { return outputs_[0]; }
  ValueId dbias() const { return dbias_; }
  ValueId winners() const { return winners_; }
  const Conv2dOptions& options() const { return options_; }

 private:
  Conv2dOptions options_;
  ValueId dbias_;
  ValueId winners_;
};

}  // namespace vktrain::nn
