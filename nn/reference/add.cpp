#include "nn/reference/add.h"

namespace vktrain::nn::reference {

void add(std::span<const double> a, std::span<const double> b, std::span<double> sum) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = a[i] + b[i];
}

}  // namespace vktrain::nn::reference
