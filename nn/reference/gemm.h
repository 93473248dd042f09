// Double-precision twins of nn/ops/gemm.
#pragma once

#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

// C[m, n] = op(A) op(B) with op(X) = X^T where transposed: A is [k, m] or [m, k], B is [n, k] or
// [k, n]; all row-major without padding.
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
          std::span<const double> a, std::span<const double> b, std::span<double> c);

}  // namespace vktrain::nn::reference
