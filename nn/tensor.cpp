#include "nn/tensor.h"

#include <fmt/format.h>

namespace vktrain::nn {

Shape Shape::with_batch(std::int64_t batch) const {
  std::vector<std::int64_t> dims = dims_;
  for (std::int64_t& dim : dims) {
    if (dim == kBatch) dim = batch;
  }
  return Shape(std::move(dims));
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (std::int64_t dim : dims_) product *= dim;
  return product;
}

std::int64_t Shape::elements_per_row() const {
  std::int64_t product = 1;
  for (std::size_t i = 1; i < dims_.size(); ++i) product *= dims_[i];
  return product;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    if (i > 0) text += ", ";
    text += shape[i] == kBatch ? std::string("batch") : fmt::format("{}", shape[i]);
  }
  return text + "]";
}

Layout layout_of(const Shape& resolved) {
  if (resolved.rank() <= 1) {
    const std::int64_t columns = resolved.rank() == 0 ? 1 : resolved[0];
    return {1, columns, round_up(columns, 4)};
  }
  const std::int64_t columns = resolved.elements_per_row();
  return {resolved[0], columns, round_up(columns, 4)};
}

}  // namespace vktrain::nn
