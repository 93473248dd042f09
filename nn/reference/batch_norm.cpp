#include "nn/reference/batch_norm.h"

#include <cmath>

namespace vktrain::nn::reference {
namespace {

// Calls visit(i) for the elements of channel j.
template <class Arguments, class Visit>
void for_channel(const Arguments& a, std::size_t j, const Visit& visit) {
  const auto channels = static_cast<std::size_t>(a.channels);
  const auto plane = static_cast<std::size_t>(a.plane);
  for (std::size_t row = 0; row < static_cast<std::size_t>(a.rows); ++row) {
    const std::size_t begin = (row * channels + j) * plane;
    for (std::size_t i = begin; i < begin + plane; ++i) visit(i);
  }
}

}  // namespace

void batch_norm_train(const BatchNormTrain& a) {
  const auto n = static_cast<double>(a.rows * a.plane);
  for (std::size_t j = 0; j < static_cast<std::size_t>(a.channels); ++j) {
    double sum = 0, squares = 0;
    for_channel(a, j, [&](std::size_t i) { sum += a.x[i]; });
    const double mean = sum / n;
    for_channel(a, j, [&](std::size_t i) { squares += (a.x[i] - mean) * (a.x[i] - mean); });
    a.mean[j] = mean;
    a.inv_std[j] = 1 / std::sqrt(squares / n + a.epsilon);
    a.running_mean[j] = (1 - a.momentum) * a.running_mean[j] + a.momentum * mean;
    a.running_var[j] = (1 - a.momentum) * a.running_var[j] + a.momentum * squares / (n - 1);
  }
  batch_norm_apply({.rows = a.rows,
                    .channels = a.channels,
                    .plane = a.plane,
                    .x = a.x,
                    .weight = a.weight,
                    .bias = a.bias,
                    .mean = a.mean,
                    .inv_std = a.inv_std,
                    .y = a.y});
}

void batch_norm_apply(const BatchNormApply& a) {
  for (std::size_t j = 0; j < static_cast<std::size_t>(a.channels); ++j) {
    for_channel(a, j, [&](std::size_t i) {
      a.y[i] = a.weight[j] * (a.x[i] - a.mean[j]) * a.inv_std[j] + a.bias[j];
    });
  }
}

void batch_norm_backward(const BatchNormBackward& a) {
  const auto n = static_cast<double>(a.rows * a.plane);
  for (std::size_t j = 0; j < static_cast<std::size_t>(a.channels); ++j) {
    const auto xhat = [&](std::size_t i) { return (a.x[i] - a.mean[j]) * a.inv_std[j]; };
    double sum = 0, sum_xhat = 0;
    for_channel(a, j, [&](std::size_t i) {
      sum += a.dy[i];
      sum_xhat += a.dy[i] * xhat(i);
    });
    a.dbias[j] = sum;
    a.dweight[j] = sum_xhat;
    for_channel(a, j, [&](std::size_t i) {
      const double through_statistics = a.training ? sum / n + xhat(i) * sum_xhat / n : 0;
      a.dx[i] = a.weight[j] * a.inv_std[j] * (a.dy[i] - through_statistics);
    });
  }
}

}  // namespace vktrain::nn::reference
