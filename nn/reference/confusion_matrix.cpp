#include "nn/reference/confusion_matrix.h"

#include <algorithm>

namespace vktrain::nn::reference {

void confusion_matrix(std::int64_t batch, std::int64_t classes, std::span<const double> logits,
                      std::span<const double> labels, std::span<double> counts) {
  const auto columns = static_cast<std::size_t>(classes);
  for (std::size_t row = 0; row < static_cast<std::size_t>(batch); ++row) {
    const std::span<const double> x = logits.subspan(row * columns, columns);
    const auto predicted =
        static_cast<std::size_t>(std::max_element(x.begin(), x.end()) - x.begin());
    counts[static_cast<std::size_t>(labels[row]) * columns + predicted] += 1;
  }
}

}  // namespace vktrain::nn::reference
