// Double-precision twins of nn/ops/batch_norm. x, y and their gradients are
// [rows, channels, plane], row-major without padding, everything else is [channels].
#pragma once

#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

// With N = rows * plane: mean = sum x / N, var = sum (x - mean)^2 / N, inv_std = 1 / sqrt(var +
// epsilon), y = weight * (x - mean) * inv_std + bias; running = (1 - momentum) * running + momentum
// * (mean, var * N / (N - 1)).
struct BatchNormTrain {
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  std::int64_t plane = 1;
  double epsilon = 0;
  double momentum = 0;
  std::span<const double> x, weight, bias;
  std::span<double> running_mean, running_var, y, mean, inv_std;
};
void batch_norm_train(const BatchNormTrain& a);

// y = weight * (x - mean) * inv_std + bias
struct BatchNormApply {
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  std::int64_t plane = 1;
  std::span<const double> x, weight, bias, mean, inv_std;
  std::span<double> y;
};
void batch_norm_apply(const BatchNormApply& a);

// With xhat = (x - mean) * inv_std: dbias = sum dy, dweight = sum dy * xhat,
// dx = weight * inv_std * (dy - dbias / N - xhat * dweight / N); without the last two terms when
// the statistics do not depend on x.
struct BatchNormBackward {
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  std::int64_t plane = 1;
  bool training = true;
  std::span<const double> dy, x, mean, inv_std, weight;
  std::span<double> dx, dweight, dbias;
};
void batch_norm_backward(const BatchNormBackward& a);

}  // namespace vktrain::nn::reference
