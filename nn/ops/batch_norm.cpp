#include "nn/ops/batch_norm.h"

#include <fmt/format.h>

#include <cmath>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/ops/batch_norm1d.h"
#include "nn/ops/batch_norm2d.h"
#include "nn/reference/activation.h"
#include "nn/reference/batch_norm.h"
#include "nn/reference/max_pool2d.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// [batch, C] or [batch, C, H, W]
bool has_channels(const Shape& shape) { return shape.rank() == 2 || shape.rank() == 4; }

Error unexpected_input(const Shape& found, std::string_view channels, std::string_view label) {
  const std::string vector = fmt::format("[batch, {}]", channels);
  const std::string image = fmt::format("[batch, {}, height, width]", channels);
  const std::string expected = found.rank() == 2   ? vector
                               : found.rank() == 4 ? image
                                                   : vector + " or " + image;
  return Error(fmt::format("[batch_norm] {}: expected input of shape {}, found {}", label, expected,
                           to_string(found)));
}

void check(const Graph& graph, ValueId x, const BatchNormParameters& parameters,
           std::string_view label) {
  const Shape& shape = graph.value(x).shape;
  const std::int64_t channels = graph.value(parameters.weight).shape[0];
  if (!has_channels(shape) || shape[1] != channels) {
    throw unexpected_input(shape, fmt::format("{}", channels), label);
  }
  for (ValueId id :
       {parameters.weight, parameters.bias, parameters.running_mean, parameters.running_var}) {
    const Value& value = graph.value(id);
    if (value.shape == Shape{channels}) continue;
    throw Error(fmt::format("[batch_norm] {}: expected {} of shape [{}], found {}", label,
                            value.name, channels, to_string(value.shape)));
  }
}

BatchNormParameters declare(Graph& graph, ValueId x, std::string_view label) {
  const Shape shape = graph.value(x).shape;
  if (!has_channels(shape)) throw unexpected_input(shape, "channels", label);
  return batch_norm_parameters(graph, shape[1], label);
}

void check_batch(const Shape& x, std::string_view label) {
  if (x.elements() > x[1]) return;
  throw Error(fmt::format(
      "[batch_norm] {}: expected more than 1 value per channel when training, found input of shape "
      "{}; use a batch size that leaves no last batch of 1",
      label, to_string(x)));
}

}  // namespace

BatchNormParameters batch_norm_parameters(Graph& graph, std::int64_t channels,
                                          std::string_view label) {
  const auto declare = [&](std::string_view name, double value, bool trainable) {
    return graph.add_parameter({.name = fmt::format("{}.{}", label, name),
                                .shape = {channels},
                                .initializer = {InitializerKind::constant, value},
                                .fan_in = channels,
                                .fan_out = channels,
                                .trainable = trainable});
  };
  return {.weight = declare("weight", 1, true),
          .bias = declare("bias", 0, true),
          .running_mean = declare("running_mean", 0, false),
          .running_var = declare("running_var", 1, false)};
}

ValueId batch_norm_train(Graph& graph, ValueId x, const BatchNormOptions& options,
                         std::string_view label) {
  return batch_norm_train(graph, x, declare(graph, x, label), options, label);
}

ValueId batch_norm_eval(Graph& graph, ValueId x, const BatchNormOptions& options,
                        std::string_view label) {
  return batch_norm_eval(graph, x, declare(graph, x, label), options, label);
}

ValueId batch_norm_train(Graph& graph, ValueId x, const BatchNormParameters& parameters,
                         const BatchNormOptions& options, std::string_view label) {
  check(graph, x, parameters, label);
  const Shape shape = graph.value(x).shape;
  const ValueId y = graph.add_activation(fmt::format("{}.normalised", label), shape);
  const ValueId mean = graph.add_activation(fmt::format("{}.mean", label), {2, shape[1]});
  const ValueId inv_std = graph.add_activation(fmt::format("{}.inv_std", label), {shape[1]});
  graph.add(std::make_unique<BatchNormTrain>(x, parameters, y, mean, inv_std, options)).label =
      label;
  return y;
}

ValueId batch_norm_eval(Graph& graph, ValueId x, const BatchNormParameters& parameters,
                        const BatchNormOptions& options, std::string_view label) {
  check(graph, x, parameters, label);
  const ValueId y = graph.add_activation(fmt::format("{}.normalised", label), graph.value(x).shape);
  graph.add(std::make_unique<BatchNormEval>(x, parameters, y, options)).label = label;
  return y;
}

namespace {

// The operands of a backward operation that the two forms do not share.
struct BackwardOperands {
  bool training;
  ValueId x, y, mean, scale, weight, bias;
};

void add_backward(Differentiator& differentiator, const BackwardOperands& o,
                  const BatchNormOptions& options, const std::string& label) {
  Graph& graph = differentiator.graph();
  const ValueId dy = differentiator.gradient_of(o.y);
  // The kernel writes all three gradients; those that nobody asked for go to values of their own.
  const auto target = [&](ValueId input) {
    if (differentiator.needs_gradient(input)) return differentiator.new_gradient(input);
    const Value value = graph.value(input);
    return graph.add_activation(value.name + ".unused_gradient", value.shape);
  };
  const ValueId dx = target(o.x), dweight = target(o.weight), dbias = target(o.bias);
  graph
      .add(std::make_unique<BatchNormBackward>(o.training, dy, o.x, o.mean, o.scale, o.weight, dx,
                                               dweight, dbias, options))
      .label = label;
}

}  // namespace

void BatchNormTrain::differentiate(Differentiator& differentiator) const {
  if (epilogue_.activation.kind != Activation::none || epilogue_.max_pool)
    Operation::differentiate(differentiator);
  add_backward(differentiator,
               {.training = true,
                .x = x(),
                .y = y(),
                .mean = mean(),
                .scale = inv_std(),
                .weight = weight(),
                .bias = bias()},
               options_, label);
}

void BatchNormEval::differentiate(Differentiator& differentiator) const {
  if (epilogue_.activation.kind != Activation::none || epilogue_.max_pool)
    Operation::differentiate(differentiator);
  add_backward(differentiator,
               {.training = false,
                .x = x(),
                .y = y(),
                .mean = running_mean(),
                .scale = running_var(),
                .weight = weight(),
                .bias = bias()},
               options_, label);
}

void BatchNormTrain::lower(Lowering& l) const {
  check_batch(l.graph().value(x()).shape.with_batch(l.batch()), label);
  if (batch_norm1d::supports(*this, l)) return batch_norm1d::lower(*this, l);
  batch_norm2d::lower(*this, l);
}

namespace {

std::vector<double> inverse_std(const std::vector<double>& variance, double epsilon) {
  std::vector<double> result(variance.size());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = 1 / std::sqrt(variance[i] + epsilon);
  return result;
}

Pool2dSizes tiles_of(const Shape& x) { return tiling(x[1], {x[2], x[3]}); }

void finish(const BatchNormEpilogue& epilogue, const Shape& x, std::vector<double>& normalised,
            std::vector<double>& y) {
  reference::activate(epilogue.activation, normalised);
  if (epilogue.max_pool) {
    std::vector<double> winners(y.size());
    reference::max_pool2d(tiles_of(x), normalised, y, winners);
  } else {
    y = std::move(normalised);
  }
}

// dy at the elements with the largest weight * xhat of their tiles.
std::vector<double> unpooled(const Shape& shape, const std::vector<double>& dy,
                             const reference::BatchNormBackward& a) {
  std::vector<double> y(a.x.size()), largest(dy.size()), winners(dy.size()), gradient(a.x.size());
  const std::vector<double> no_bias(a.weight.size());
  reference::batch_norm_apply({.rows = a.rows,
                               .channels = a.channels,
                               .plane = a.plane,
                               .x = a.x,
                               .weight = a.weight,
                               .bias = no_bias,
                               .mean = a.mean,
                               .inv_std = a.inv_std,
                               .y = y});
  reference::max_pool2d(tiles_of(shape), y, largest, winners);
  reference::max_pool2d_backward(tiles_of(shape), dy, winners, gradient);
  return gradient;
}

}  // namespace

void BatchNormTrain::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(x());
  check_batch(shape, label);
  // The second row of `mean` is the first one's rounding error, which double does not need.
  std::vector<double>& mean_rows = memory[mean()];
  std::fill(mean_rows.begin(), mean_rows.end(), 0.0);
  const auto channels = static_cast<std::size_t>(shape[1]);
  std::vector<double> normalised(memory[x()].size());
  reference::batch_norm_train({.rows = shape[0],
                               .channels = shape[1],
                               .plane = shape.elements_per_row() / shape[1],
                               .epsilon = options_.epsilon,
                               .momentum = options_.momentum,
                               .x = memory[x()],
                               .weight = memory[weight()],
                               .bias = memory[bias()],
                               .running_mean = memory[running_mean()],
                               .running_var = memory[running_var()],
                               .y = normalised,
                               .mean = std::span(mean_rows).first(channels),
                               .inv_std = memory[inv_std()]});
  finish(epilogue_, shape, normalised, memory[y()]);
}

void BatchNormEval::lower(Lowering& l) const {
  if (batch_norm1d::supports(*this, l)) return batch_norm1d::lower(*this, l);
  batch_norm2d::lower(*this, l);
}

void BatchNormEval::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(x());
  const std::vector<double> inv_std = inverse_std(memory[running_var()], options_.epsilon);
  std::vector<double> normalised(memory[x()].size());
  reference::batch_norm_apply({.rows = shape[0],
                               .channels = shape[1],
                               .plane = shape.elements_per_row() / shape[1],
                               .x = memory[x()],
                               .weight = memory[weight()],
                               .bias = memory[bias()],
                               .mean = memory[running_mean()],
                               .inv_std = inv_std,
                               .y = normalised});
  finish(epilogue_, shape, normalised, memory[y()]);
}

void BatchNormBackward::lower(Lowering& l) const {
  if (batch_norm1d::supports(*this, l)) return batch_norm1d::lower(*this, l);
  batch_norm2d::lower(*this, l);
}

void BatchNormBackward::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(x());
  const auto channels = static_cast<std::size_t>(shape[1]);
  std::vector<double> centre = memory[mean()];
  if (training_) {
    for (std::size_t c = 0; c < channels; ++c) centre[c] += centre[channels + c];
    centre.resize(channels);
  }
  const std::vector<double> inv_std =
      training_ ? memory[scale()] : inverse_std(memory[scale()], options_.epsilon);
  reference::BatchNormBackward a = {.rows = shape[0],
                                    .channels = shape[1],
                                    .plane = shape.elements_per_row() / shape[1],
                                    .training = training_,
                                    .dy = memory[dy()],
                                    .x = memory[x()],
                                    .mean = centre,
                                    .inv_std = inv_std,
                                    .weight = memory[weight()],
                                    .dx = memory[dx()],
                                    .dweight = memory[dweight()],
                                    .dbias = memory[dbias()]};
  std::vector<double> gradient;
  if (pooled_) {
    gradient = unpooled(shape, memory[dy()], a);
    a.dy = gradient;
  }
  reference::batch_norm_backward(a);
}

}  // namespace vktrain::nn
