#include "nn/reference/channels_last.h"

namespace vktrain::nn::reference {

void transpose_rows(std::int64_t batch, std::int64_t rows, std::int64_t columns,
                    std::span<const double> x, std::span<double> y) {
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        y[static_cast<std::size_t>((n * columns + j) * rows + i)] =
            x[static_cast<std::size_t>((n * rows + i) * columns + j)];
      }
    }
  }
}

}  // namespace vktrain::nn::reference
