// Shapes and memory layouts of values.
//
// Every value is laid out as rows of equal stride: a tensor of shape [d0, d1, ...] has d0 rows of
// d1*d2*... columns, a vector [d0] is one row. The row stride is the number of columns rounded up
// to a multiple of 4, so that kernels can move whole vec4. Columns past the end ("padding") hold
// finite values that no result depends on; for parameters and their gradients they hold 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace vktrain::nn {

enum class DType { f32, u32 };

// Stands for the batch size in a shape; resolved when a graph is planned.
inline constexpr std::int64_t kBatch = -1;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {}

  std::size_t rank() const { return dims_.size(); }
  std::int64_t operator[](std::size_t i) const { return dims_[i]; }
  const std::vector<std::int64_t>& dims() const { return dims_; }

  Shape with_batch(std::int64_t batch) const;  // replaces kBatch
  std::int64_t elements() const;               // product; kBatch must be resolved
  std::int64_t elements_per_row() const;       // product of all but the first
  bool operator==(const Shape&) const = default;

 private:
  std::vector<std::int64_t> dims_;
};

std::string to_string(const Shape& shape);  // "[batch, 784]"

// In elements.
struct Layout {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;

  std::int64_t size() const { return rows * row_stride; }
  bool operator==(const Layout&) const = default;
};

Layout layout_of(const Shape& resolved);

constexpr std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
constexpr std::int64_t divide_up(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

// Distance between a value's replicas: 256 bytes is the largest storage-buffer alignment that
// Vulkan lets a device ask for.
inline constexpr std::int64_t kAlignmentElements = 64;

}  // namespace vktrain::nn
