// Double-precision twin of nn/ops/concat.
#pragma once

#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

// Columns of a row-major matrix from `begin` on.
template <class T>
struct Columns {
  std::span<T> values;
  std::int64_t columns;  // of the whole matrix
  std::int64_t begin;
};

// to[n, i] = from[n, i] for `count` columns i after each one's begin.
void copy_columns(std::int64_t rows, std::int64_t count, const Columns<const double>& from,
                  const Columns<double>& to);

}  // namespace vktrain::nn::reference
