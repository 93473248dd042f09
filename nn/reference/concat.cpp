#include "nn/reference/concat.h"

#include <algorithm>

namespace vktrain::nn::reference {

void copy_columns(std::int64_t rows, std::int64_t count, const Columns<const double>& from,
                  const Columns<double>& to) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto source = static_cast<std::size_t>(row * from.columns + from.begin);
    const auto target = static_cast<std::size_t>(row * to.columns + to.begin);
    std::ranges::copy(from.values.subspan(source, static_cast<std::size_t>(count)),
                      to.values.subspan(target).begin());
  }
}

}  // namespace vktrain::nn::reference
