#include "nn/reference/batch_norm.h"

#include <cmath>

namespace vktrain::nn::reference {

void batch_norm_train(const BatchNormTrain& a) {
  const auto rows = static_cast<std::size_t>(a.rows), c = static_cast<std::size_t>(a.channels);
  const auto n = static_cast<double>(a.rows);
  for (std::size_t j = 0; j < c; ++j) {
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < rows; ++i) sum += a.x[i * c + j];
    const double mean = sum / n;
    for (std::size_t i = 0; i < rows; ++i) {
      const double d = a.x[i * c + j] - mean;
      squares += d * d;
    }
    a.mean[j] = mean;
    a.inv_std[j] = 1 / std::sqrt(squares / n + a.epsilon);
    a.running_mean[j] = (1 - a.momentum) * a.running_mean[j] + a.momentum * mean;
    a.running_var[j] = (1 - a.momentum) * a.running_var[j] + a.momentum * squares / (n - 1);
  }
  batch_norm_apply({.rows = a.rows,
                    .channels = a.channels,
                    .x = a.x,
                    .weight = a.weight,
                    .bias = a.bias,
                    .mean = a.mean,
                    .inv_std = a.inv_std,
                    .y = a.y});
}

void batch_norm_apply(const BatchNormApply& a) {
  const auto c = static_cast<std::size_t>(a.channels);
  for (std::size_t row = 0; row < static_cast<std::size_t>(a.rows); ++row) {
    for (std::size_t j = 0; j < c; ++j) {
      const std::size_t i = row * c + j;
      a.y[i] = a.weight[j] * (a.x[i] - a.mean[j]) * a.inv_std[j] + a.bias[j];
    }
  }
}

void batch_norm_backward(const BatchNormBackward& a) {
  const auto rows = static_cast<std::size_t>(a.rows), c = static_cast<std::size_t>(a.channels);
  const auto n = static_cast<double>(a.rows);
  for (std::size_t j = 0; j < c; ++j) {
    const auto xhat = [&](std::size_t i) { return (a.x[i * c + j] - a.mean[j]) * a.inv_std[j]; };
    double sum = 0, sum_xhat = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      sum += a.dy[i * c + j];
      sum_xhat += a.dy[i * c + j] * xhat(i);
    }
    a.dbias[j] = sum;
    a.dweight[j] = sum_xhat;
    for (std::size_t i = 0; i < rows; ++i) {
      const double through_statistics = a.training ? sum / n + xhat(i) * sum_xhat / n : 0;
      a.dx[i * c + j] = a.weight[j] * a.inv_std[j] * (a.dy[i * c + j] - through_statistics);
    }
  }
}

}  // namespace vktrain::nn::reference
