// Sizes of sliding windows, and what convolutions refuse.
#include "nn/ops/window2d.h"

#include <gtest/gtest.h>

#include "nn/ops/conv2d.h"
#include "runtime/error.h"

namespace vktrain::testing {
namespace {

using namespace nn;

Window2d window_of(Size2d kernel, Size2d stride, Size2d padding, Size2d dilation) {
  return {.kernel = kernel,
          .stride = stride,
          .padding_begin = padding,
          .padding_end = padding,
          .dilation = dilation};
}

// PyTorch's formula, worked by hand.
TEST(Window2d, OutputSizes) {
  EXPECT_EQ(output_size(window_of({3, 3}, {1, 1}, {1, 1}, {1, 1}), {28, 28}, ""), (Size2d{28, 28}));
  EXPECT_EQ(output_size(window_of({4, 4}, {2, 2}, {0, 0}, {1, 1}), {28, 13}, ""), (Size2d{13, 5}));
  EXPECT_EQ(output_size(window_of({3, 5}, {2, 3}, {1, 2}, {2, 1}), {9, 10}, ""), (Size2d{4, 4}));
  EXPECT_EQ(output_size(window_of({7, 1}, {1, 1}, {0, 0}, {1, 1}), {7, 1}, ""), (Size2d{1, 1}));
}

// TensorFlow's rule: ceil(input / stride) outputs, the odd zero behind.
TEST(Window2d, SamePadding) {
  Window2d window = window_of({5, 2}, {1, 1}, {0, 0}, {1, 1});
  pad_same(window, {28, 28});
  EXPECT_EQ(window.padding_begin, (Size2d{2, 0}));
  EXPECT_EQ(window.padding_end, (Size2d{2, 1}));
  EXPECT_EQ(output_size(window, {28, 28}, ""), (Size2d{28, 28}));
  window = window_of({3, 3}, {2, 2}, {0, 0}, {1, 1});
  pad_same(window, {28, 7});
  EXPECT_EQ(window.padding_begin, (Size2d{0, 1}));
  EXPECT_EQ(window.padding_end, (Size2d{1, 1}));
  EXPECT_EQ(output_size(window, {28, 7}, ""), (Size2d{14, 4}));
  window = window_of({1, 1}, {3, 3}, {0, 0}, {1, 1});  // strides past its inputs: no padding
  pad_same(window, {7, 7});
  EXPECT_EQ(window.padding_begin, (Size2d{0, 0}));
  EXPECT_EQ(window.padding_end, (Size2d{0, 0}));
}

std::string size_refusal(const Window2d& window, Size2d input) {
  try {
    output_size(window, input, "[pool] 2");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Window2d, RefusesSizesThatAreNone) {
  EXPECT_EQ(size_refusal(window_of({3, 0}, {1, 1}, {0, 0}, {1, 1}), {9, 9}),
            "[pool] 2: kernel, stride, dilation and input must be at least 1 x 1, but they are "
            "3 x 0, 1 x 1, 1 x 1 and 9 x 9");
  EXPECT_EQ(size_refusal(window_of({3, 3}, {1, 1}, {-1, 0}, {1, 1}), {9, 9}),
            "[pool] 2: padding must not be negative, but it is -1 x 0 before and -1 x 0 after the "
            "input");
  EXPECT_EQ(
      size_refusal(window_of({3, 3}, {1, 1}, {1, 0}, {5, 1}), {8, 3}),
      "[pool] 2: the window of 11 x 3 (kernel 3 x 3, dilation 5 x 1) is larger than its padded "
      "input of 10 x 3; expected a window that fits: make the kernel smaller or pad more");
}

std::string refusal(const Shape& x, const Shape& weight, const Conv2dOptions& options) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId image = graph.add_external("x", x, DType::f32, false);
  const ValueId kernel = graph.add_parameter({.name = "1.weight", .shape = weight});
  try {
    conv2d(graph, image, kernel, options, "1");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Conv2dShape, RefusesOthers) {
  const Conv2dOptions three = {{.kernel = {3, 3}}, 1};
  EXPECT_EQ(refusal({kBatch, 100}, {8, 4, 3, 3}, three),
            "[conv2d] 1: expected an input [batch, channels, height, width] and a weight "
            "[out, in, height, width], found [batch, 100] and [8, 4, 3, 3]");
  EXPECT_EQ(refusal({kBatch, 4, 9, 9}, {8, 36}, three),
            "[conv2d] 1: expected an input [batch, channels, height, width] and a weight "
            "[out, in, height, width], found [batch, 4, 9, 9] and [8, 36]");
  EXPECT_EQ(refusal({kBatch, 4, 9, 9}, {8, 1, 3, 3}, {{.kernel = {3, 3}}, 3}),
            "[conv2d] 1: expected channels that 3 groups divide, found 4 in and 8 out");
  EXPECT_EQ(refusal({kBatch, 4, 9, 9}, {9, 2, 3, 3}, {{.kernel = {3, 3}}, 2}),
            "[conv2d] 1: expected channels that 2 groups divide, found 4 in and 9 out");
  EXPECT_EQ(refusal({kBatch, 4, 9, 9}, {8, 4, 3, 3}, {{.kernel = {3, 3}}, 0}),
            "[conv2d] 1: expected channels that 0 groups divide, found 4 in and 8 out");
  EXPECT_EQ(refusal({kBatch, 4, 9, 9}, {8, 3, 3, 3}, three),
            "[conv2d] 1: expected a weight for 4 input channels a group, found [8, 3, 3, 3]");
  EXPECT_EQ(refusal({kBatch, 4, 9, 9}, {8, 4, 3, 5}, three),
            "[conv2d] 1: expected a weight of kernel size 3 x 3, found [8, 4, 3, 5]");
  EXPECT_EQ(refusal({kBatch, 4, 2, 9}, {8, 4, 3, 3}, three),
            "[conv2d] 1: the window of 3 x 3 (kernel 3 x 3, dilation 1 x 1) is larger than its "
            "padded input of 2 x 9; expected a window that fits: make the kernel smaller or pad "
            "more");
}

}  // namespace
}  // namespace vktrain::testing
