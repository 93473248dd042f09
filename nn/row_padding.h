// Moves values between the device's layout (rows padded to a row stride, see nn/tensor.h) and plain
// row-major order.
#pragma once

#include <algorithm>
#include <span>
#include <stdexcept>
#include <vector>

#include "nn/tensor.h"

namespace vktrain::nn {

// Padding becomes 0. Throws std::invalid_argument when the number of values is not the layout's.
template <class T>
std::vector<T> pad_rows(std::span<const T> values, const Layout& layout) {
  if (static_cast<std::int64_t>(values.size()) != layout.rows * layout.columns) {
    throw std::invalid_argument("the number of values does not fit the shape");
  }
  std::vector<T> padded(static_cast<std::size_t>(layout.size()));
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    std::copy_n(values.begin() + row * layout.columns, layout.columns,
                padded.begin() + row * layout.row_stride);
  }
  return padded;
}

template <class T>
std::vector<T> unpad_rows(std::span<const T> padded, const Layout& layout) {
  std::vector<T> values(static_cast<std::size_t>(layout.rows * layout.columns));
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    std::copy_n(padded.begin() + row * layout.row_stride, layout.columns,
                values.begin() + row * layout.columns);
  }
  return values;
}

}  // namespace vktrain::nn
