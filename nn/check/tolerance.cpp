#include "nn/check/tolerance.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "nn/ops/activation.h"
#include "nn/ops/add.h"
#include "nn/ops/avg_pool2d.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/conv2d.h"
#include "nn/ops/gather_batch.h"
#include "nn/ops/gemm.h"
#include "nn/ops/linear_cross_entropy.h"
#include "nn/ops/max_pool2d.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optimizers/gemm_update.h"
#include "nn/optimizers/optimizer_operation.h"
#include "nn/reference/activation.h"
#include "nn/reference/batch_norm.h"

namespace vktrain::nn {
namespace {

// Sums of K products add the roundings of partial sums, which grow like the square root of K;
// activations and their derivatives pass an error on with at most the factor alpha.
Tolerance sum_of_products(double k, double term, const ActivationSpec& activation = {}) {
  const double slope = std::max(1.0f, activation.alpha);
  return {.relative = 8, .absolute = 4 * slope * std::sqrt(k) * (term + 1)};
}

double deviation(const std::vector<double>& values) {
  double squares = 0;
  for (double value : values) squares += value * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// Sums over the pixels of a batch have long chains of additions. Their terms have mean 0, so that
// the sum of i terms is about sqrt(i) deviations; the roundings of K such sums add up to about K /
// 3 units of a term's deviation. Three times that, and the roundings of the terms.
Tolerance pixel_sum(double k, double term, double term_deviation) {
  return {.relative = 8, .absolute = 4 * std::sqrt(k) * term + k * term_deviation};
}

// Vulkan grants exp an error of 3 + 2 |x| units; tanh and elu need it for |x| around 1 only, where
// e^x still counts, sigmoid and silu over the whole range, gelu (whose argument is x^2 / 2, itself
// rounded) up to 13 deviations.
double activation_units(Activation kind, double range) {
  if (kind == Activation::sigmoid || kind == Activation::silu) {
    return 8 + 2 * std::min(range, 88.0);
  }
  return kind == Activation::gelu ? 8 + 3 * std::min(range * range / 2, 85.0) : 16;
}

// What is left past the range of exp: x times the smallest normal number.
constexpr double kUnderflow = 1e-28;

Tolerance of_forward(const ActivationForward& forward, const ReferenceMemory& memory) {
  return {.relative = activation_units(forward.activation().kind, largest(memory[forward.x()])),
          .absolute = kUnderflow};
}

// How many units a unit of x becomes at most, x f' / f.
double activation_condition(Activation kind, double range) {
  if (kind == Activation::sigmoid || kind == Activation::silu) return 1 + range;
  return kind == Activation::gelu ? 1 + range * range : 1;
}

// A sum is rounded once, before its activation.
Tolerance of_add(const Add& add, const ReferenceMemory& memory) {
  const Activation kind = add.activation().kind;
  if (kind == Activation::none || kind == Activation::relu) return {.relative = 1};
  if (kind == Activation::leaky_relu) return {.relative = 2};
  const double range = largest(memory[add.a()]) + largest(memory[add.b()]);
  return {.relative = activation_units(kind, range) + activation_condition(kind, range),
          .absolute = kUnderflow};
}

// 1 - y^2 and y (1 - y) cancel: an error of a rounding of 1 (or y) times the gradient. So do the
// two terms of the derivatives of gelu and silu, around their minimum.
Tolerance of_backward(const ActivationBackward& backward, const ReferenceMemory& memory) {
  const Activation kind = backward.activation().kind;
  const double scale = largest(memory[backward.dy()]);
  if (!derivative_needs_input(kind)) return {.relative = 4, .absolute = scale};
  return {.relative = activation_units(kind, largest(memory[backward.operand()])),
          .absolute = 4 * scale};
}

// Over A's rows.
Tolerance of_column_sum(ValueId a, const ReferenceMemory& memory) {
  const auto k = static_cast<double>(memory.shape(a)[0]);
  return {.relative = 8, .absolute = 4 * std::sqrt(k) * largest(memory[a])};
}

Tolerance of_gemm(const Gemm& gemm, ValueId output, const ReferenceMemory& memory) {
  const Shape a = memory.shape(gemm.a());
  const auto k = static_cast<double>(gemm.form() == GemmForm::tn ? a[0] : a.elements_per_row());
  if (output == gemm.epilogue().column_sum) return of_column_sum(gemm.a(), memory);
  double term = largest(memory[gemm.a()]) * largest(memory[gemm.b()]);
  if (gemm.epilogue().bias != kNoValue) term += largest(memory[gemm.epilogue().bias]);
  return sum_of_products(k, term, gemm.epilogue().activation);
}

Tolerance of_conv2d(const Conv2d& conv, const ReferenceMemory& memory) {
  double term = largest(memory[conv.x()]) * largest(memory[conv.weight()]);
  if (conv.epilogue().bias != kNoValue) term += largest(memory[conv.epilogue().bias]);
  const auto k = static_cast<double>(memory.shape(conv.weight()).elements_per_row());
  return sum_of_products(k, term, conv.epilogue().activation);
}

Tolerance of_data_gradient(const Conv2dDataGradient& conv, const ReferenceMemory& memory) {
  const Shape weight = memory.shape(conv.weight());
  const std::int64_t k = weight[0] / conv.options().groups * weight[2] * weight[3];
  return sum_of_products(static_cast<double>(k),
                         largest(memory[conv.dy()]) * largest(memory[conv.weight()]),
                         conv.gradient_activation());
}

Tolerance of_weight_gradient(const Conv2dWeightGradient& conv, ValueId output,
                             const ReferenceMemory& memory) {
  const Shape dy = memory.shape(conv.dy());
  const auto k = static_cast<double>(dy[0] * dy[2] * dy[3]);
  const std::vector<double>&gradient = memory[conv.dy()], &x = memory[conv.x()];
  if (output == conv.dbias()) return pixel_sum(k, largest(gradient), deviation(gradient));
  return pixel_sum(k, largest(gradient) * largest(x), deviation(gradient) * deviation(x));
}

// What the roundings are measured by. Forward: the terms weight * xhat and bias, times the largest
// slope of an activation (1.13 for gelu, 1.1 for silu: within the margin). Backward: the
// gradients, times weight / std; the sums are those over the pixels of a channel.
Tolerance of_batch_norm(const BatchNormTrain& train, ValueId output,
                        const ReferenceMemory& memory) {
  if (output == train.running_mean()) return {4, 4 * largest(memory[train.mean()])};
  if (output != train.y()) return {.relative = 16};
  const double slope = std::max(1.0f, train.activation().alpha);
  return {8, 8 * slope * (largest(memory[train.weight()]) + largest(memory[train.bias()]))};
}

// Of the results before an activation.
double largest_normalised(const BatchNormEval& eval, const ReferenceMemory& memory) {
  if (eval.activation().kind == Activation::none && !eval.epilogue().max_pool) {
    return largest(memory[eval.y()]);
  }
  std::vector<double> inv_std = memory[eval.running_var()];
  for (double& value : inv_std) value = 1 / std::sqrt(value + eval.options().epsilon);
  const Shape shape = memory.shape(eval.x());
  std::vector<double> y(memory[eval.x()].size());
  reference::batch_norm_apply({.rows = shape[0],
                               .channels = shape[1],
                               .plane = shape.elements_per_row() / shape[1],
                               .x = memory[eval.x()],
                               .weight = memory[eval.weight()],
                               .bias = memory[eval.bias()],
                               .mean = memory[eval.running_mean()],
                               .inv_std = inv_std,
                               .y = y});
  return largest(y);
}

Tolerance of_batch_norm(const BatchNormEval& eval, const ReferenceMemory& memory) {
  const double slope = std::max(1.0f, eval.activation().alpha);
  return {8, 2 * slope * (largest_normalised(eval, memory) + largest(memory[eval.bias()]))};
}

Tolerance of_batch_norm(const BatchNormBackward& backward, ValueId output,
                        const ReferenceMemory& memory) {
  const Shape terms = memory.shape(backward.dy());  // pooled: the others are 0
  const auto n = static_cast<double>(terms.elements()) / static_cast<double>(terms[1]);
  const std::vector<double>& gradient = memory[backward.dy()];
  const double dy = largest(gradient);
  if (output == backward.dbias()) return pixel_sum(n, dy, deviation(gradient));
  // xhat has deviation 1 (in evaluation the running statistics are those of N(0, 1)) and is hardly
  // larger than 3; the difference in it is rounded, and the product is.
  if (output == backward.dweight()) return pixel_sum(n, 2 * 3 * dy, deviation(gradient));
  const double inv_std = backward.training() ? largest(memory[backward.scale()]) : 1.0;
  return {8, 16 * dy * largest(memory[backward.weight()]) * inv_std};
}

// A mean of n numbers rounds n - 1 sums of at most n times the largest, and a quotient (2.5 units
// in Vulkan); a gradient sums quotients.
Tolerance of_avg_pool2d(const AvgPool2d& pool, const ReferenceMemory& memory) {
  const Size2d kernel = pool.sizes().window.kernel;
  const auto terms = static_cast<double>(kernel.height * kernel.width);
  return {.relative = 5, .absolute = terms * largest(memory[pool.x()])};
}

// A gradient sums as many terms as windows cover an element; the derivative of an activation
// cancels, and is at most 1.
Tolerance of_max_pool2d_backward(const MaxPool2dBackward& pool, const ReferenceMemory& memory) {
  const double sum = 25 * largest(memory[pool.dy()]);
  if (pool.gradient_output() == kNoValue) return {.relative = 1, .absolute = sum};
  return {.relative = 4, .absolute = 2 * sum};
}

// The loss is log sum exp minus a logit; with smoothing all logits are added up, whose roundings
// add up, too. A gradient is a difference of probabilities over the batch.
Tolerance of_cross_entropy(const SoftmaxCrossEntropy& loss, ValueId output,
                           const ReferenceMemory& memory) {
  if (output == loss.gradient()) {
    const auto batch = static_cast<double>(memory.shape(loss.logits())[0]);
    return {.relative = 34, .absolute = 34 / batch};
  }
  const double units = loss.label_smoothing() > 0 ? 68 : 17;
  return {.relative = units, .absolute = units};
}

// The loss of logits that are sums of products: a loss passes their error on twice at most (once
// from the label's logit, once from the others), a gradient once, over the batch, and the data
// gradient adds up as many of those as there are classes.
Tolerance of_linear_cross_entropy(const LinearCrossEntropy& op, ValueId output,
                                  const ReferenceMemory& memory) {
  const LinearCrossEntropyValues& v = op.values();
  const Shape weight = memory.shape(v.weight);
  const double classes = static_cast<double>(weight[0]);
  const double largest_weight = largest(memory[v.weight]);
  double term = largest(memory[v.x]) * largest_weight;
  if (v.bias != kNoValue) term += largest(memory[v.bias]);
  const double logit =
      sum_of_products(static_cast<double>(weight.elements_per_row()), term).absolute + 8 * term;
  const double loss = op.label_smoothing() > 0 ? 68 : 17;
  if (output == v.result.loss) return {.relative = loss, .absolute = loss + 2 * logit};
  const double gradient = (34 + logit) / static_cast<double>(memory.batch());
  if (output == v.gradient) return {.relative = 34, .absolute = gradient};
  double slope = 1;
  for (const double x : memory[v.x]) {
    slope = std::max(slope, std::abs(reference::activation_derivative(v.gradient_activation, x)));
  }
  return {.relative = 34, .absolute = slope * classes * largest_weight * gradient};
}

// Terms of an update are as large as the weights are or become; square roots and quotients take
// 2.5 units each. State decays from terms as large as its own largest value.
Tolerance of_update(const Operation& operation, ValueId output, const ReferenceMemory& memory) {
  const auto* merged = dynamic_cast<const GemmUpdate*>(&operation);
  if (merged && output == merged->bias_gradient()) {
    return of_column_sum(merged->dy(), memory);
  }
  return {.relative = 34, .absolute = 34 * std::max(0.5, largest(memory[output]))};
}

// A sum over a column or a channel adds the terms' roundings, which grow like the square root of
// their number.
Tolerance of_sum(const Operation& operation, const ReferenceMemory& memory) {
  const ValueId x = operation.inputs()[0], sum = operation.outputs()[0];
  const std::size_t terms = memory[x].size() / memory[sum].size();
  return {.relative = 2,
          .absolute = 4 * std::sqrt(static_cast<double>(terms)) * largest(memory[x])};
}

std::optional<Tolerance> of_product(const Operation& operation, ValueId output,
                                    const ReferenceMemory& memory) {
  if (const auto* op = dynamic_cast<const Gemm*>(&operation)) return of_gemm(*op, output, memory);
  if (const auto* op = dynamic_cast<const Conv2d*>(&operation)) return of_conv2d(*op, memory);
  if (const auto* op = dynamic_cast<const Conv2dDataGradient*>(&operation)) {
    return of_data_gradient(*op, memory);
  }
  if (const auto* op = dynamic_cast<const Conv2dWeightGradient*>(&operation)) {
    return of_weight_gradient(*op, output, memory);
  }
  return std::nullopt;
}

std::optional<Tolerance> of_norm_or_pool(const Operation& operation, ValueId output,
                                         const ReferenceMemory& memory) {
  if (const auto* op = dynamic_cast<const BatchNormTrain*>(&operation)) {
    return of_batch_norm(*op, output, memory);
  }
  if (const auto* op = dynamic_cast<const BatchNormEval*>(&operation)) {
    return of_batch_norm(*op, memory);
  }
  if (const auto* op = dynamic_cast<const BatchNormBackward*>(&operation)) {
    return of_batch_norm(*op, output, memory);
  }
  if (const auto* op = dynamic_cast<const AvgPool2d*>(&operation)) {
    return of_avg_pool2d(*op, memory);
  }
  if (const auto* op = dynamic_cast<const AvgPool2dBackward*>(&operation)) {
    return Tolerance{.relative = 5, .absolute = 30 * largest(memory[op->dy()])};
  }
  if (const auto* op = dynamic_cast<const MaxPool2dBackward*>(&operation)) {
    return of_max_pool2d_backward(*op, memory);
  }
  return std::nullopt;
}

// Nothing is computed: every bit must agree.
bool only_moves(std::string_view kind) {
  return kind == "concat" || kind == "slice" || kind == "channels_last" || kind == "max_pool2d";
}

}  // namespace

double largest(const std::vector<double>& values) {
  double result = 0;
  for (double value : values) result = std::max(result, std::abs(value));
  return result;
}

Tolerance tolerance_of(const Operation& operation, ValueId output, const ReferenceMemory& memory) {
  const std::string_view kind = operation.kind();
  if (only_moves(kind)) return {.relative = 0};
  if (kind == "bias_add") return {.relative = 1};
  if (const auto* op = dynamic_cast<const Add*>(&operation)) return of_add(*op, memory);
  if (kind == "column_sum" || kind == "channel_sum") return of_sum(operation, memory);
  if (kind == "end_step") return {.relative = 50};
  if (const auto* op = dynamic_cast<const ActivationForward*>(&operation)) {
    return of_forward(*op, memory);
  }
  if (const auto* op = dynamic_cast<const ActivationBackward*>(&operation)) {
    return of_backward(*op, memory);
  }
  if (const auto* op = dynamic_cast<const SoftmaxCrossEntropy*>(&operation)) {
    return of_cross_entropy(*op, output, memory);
  }
  if (const auto* op = dynamic_cast<const LinearCrossEntropy*>(&operation)) {
    return of_linear_cross_entropy(*op, output, memory);
  }
  // (byte / 255 - mean) / std: scale, shift and result are rounded, each at this magnitude.
  if (kind == "gather_batch") return {.relative = 5, .absolute = 5 * largest(memory[output])};
  if (kind == "clip_gradients") return {.relative = 17};
  if (updates_weights(operation)) return of_update(operation, output, memory);
  if (const auto found = of_product(operation, output, memory)) return *found;
  return of_norm_or_pool(operation, output, memory).value_or(Tolerance{});
}

bool updates_weights(const Operation& operation) {
  return dynamic_cast<const OptimizerOperation*>(&operation) ||
         dynamic_cast<const GemmUpdate*>(&operation);
}

}  // namespace vktrain::nn
