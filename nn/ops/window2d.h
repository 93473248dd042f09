// The sliding window that convolution and pooling share: sizes, and where it meets the input.
// Output o of a dimension reads the inputs o * stride - padding_begin + k * dilation, k < kernel.
#pragma once

#include <cstdint>
#include <string>

namespace vktrain::nn {

struct Size2d {
  std::int64_t height = 0;
  std::int64_t width = 0;

  bool operator==(const Size2d&) const = default;
};

struct Window2d {
  Size2d kernel{1, 1};
  Size2d stride{1, 1};
  Size2d padding_begin{0, 0};  // top, left
  Size2d padding_end{0, 0};    // bottom, right
  Size2d dilation{1, 1};

  bool operator==(const Window2d&) const = default;
};

// floor((input + padding - dilation * (kernel - 1) - 1) / stride) + 1 in each dimension. Throws
// Error, starting with `subject`, when the window is larger than the padded input, a size is not
// positive or a padding is negative.
Size2d output_size(const Window2d& window, Size2d input, const std::string& subject);

// Sets the padding of Keras's and TensorFlow's "same": ceil(input / stride) outputs, an odd zero
// goes to the end.
void pad_same(Window2d& window, Size2d input);

std::string to_string(Size2d size);  // "3 x 3"

}  // namespace vktrain::nn
