#include "nn/reference/softmax_cross_entropy.h"

#include <algorithm>
#include <cmath>

namespace vktrain::nn::reference {

void softmax(std::span<const double> logits, std::span<double> probabilities) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    probabilities[i] = std::exp(logits[i] - largest);
    sum += probabilities[i];
  }
  for (double& probability : probabilities) probability /= sum;
}

void softmax_cross_entropy(std::int64_t batch, std::int64_t classes, double smoothing,
                           std::span<const double> logits, std::span<const double> labels,
                           std::span<double> loss, std::span<double> correct) {
  const auto columns = static_cast<std::size_t>(classes);
  for (std::size_t row = 0; row < static_cast<std::size_t>(batch); ++row) {
    const std::span<const double> x = logits.subspan(row * columns, columns);
    const auto largest = std::max_element(x.begin(), x.end());
    const auto label = static_cast<std::size_t>(labels[row]);
    double sum = 0, mean = 0;
    for (double value : x) {
      sum += std::exp(value - *largest);
      mean += (value - *largest) / static_cast<double>(classes);
    }
    loss[row] = std::log(sum) - (1 - smoothing) * (x[label] - *largest) - smoothing * mean;
    correct[row] = static_cast<std::size_t>(largest - x.begin()) == label ? 1 : 0;
  }
}

void softmax_cross_entropy_gradient(std::int64_t batch, std::int64_t classes, double smoothing,
                                    std::span<const double> logits, std::span<const double> labels,
                                    std::span<double> gradient) {
  const auto columns = static_cast<std::size_t>(classes);
  for (std::size_t row = 0; row < static_cast<std::size_t>(batch); ++row) {
    const std::span<double> g = gradient.subspan(row * columns, columns);
    softmax(logits.subspan(row * columns, columns), g);
    g[static_cast<std::size_t>(labels[row])] -= 1 - smoothing;
    for (double& value : g) {
      value = (value - smoothing / static_cast<double>(classes)) / static_cast<double>(batch);
    }
  }
}

}  // namespace vktrain::nn::reference
