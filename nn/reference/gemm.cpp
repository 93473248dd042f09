#include "nn/reference/gemm.h"

namespace vktrain::nn::reference {

void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
          std::span<const double> a, std::span<const double> b, std::span<double> c) {
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t l = 0; l < k; ++l) {
        const double x = a[static_cast<std::size_t>(transpose_a ? l * m + i : i * k + l)];
        const double y = b[static_cast<std::size_t>(transpose_b ? j * k + l : l * n + j)];
        sum += x * y;
      }
      c[static_cast<std::size_t>(i * n + j)] = sum;
    }
  }
}

}  // namespace vktrain::nn::reference
