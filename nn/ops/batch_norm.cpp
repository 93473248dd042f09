#include "nn/ops/batch_norm.h"

#include <fmt/format.h>

#include <cmath>

#include "nn/differentiate.h"
#include "nn/loop_turns.h"
#include "nn/lowering.h"
#include "nn/ops/batch_norm2d.h"
#include "nn/ops/column_tile.h"
#include "nn/reference/activation.h"
#include "nn/reference/batch_norm.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/batch_norm_forward.comp.
struct ForwardPush {
  std::uint32_t rows, columns, row_stride;
  std::uint32_t x_replica, parameter_replica, state_replica, y_replica, mean_replica;
  std::uint32_t inv_std_replica;
  float epsilon, keep, momentum, unbias, alpha;
};

// Mirrors shaders/batch_norm_eval.comp.
struct EvalPush {
  std::uint32_t rows, row_stride, x_replica, parameter_replica, state_replica, y_replica;
  float epsilon, alpha;
};

// Mirrors shaders/batch_norm_backward.comp.
struct BackwardPush {
  std::uint32_t rows, columns, row_stride;
  std::uint32_t dy_replica, x_replica, mean_replica, scale_replica, weight_replica;
  std::uint32_t dx_replica, dweight_replica, dbias_replica;
  float epsilon;
};

// The kernels of images take matrices, too, as planes of one value: in parts, so that they are for
// those with more rows than loops may have turns.
bool in_parts(const Lowering& l, ValueId x, const LoopTurns& turns) {
  return l.graph().value(x).shape.rank() == 4 ||
         !within_loop_limit(turns.of(l.layout(x).rows), l.device());
}

// Of a kernel for matrices that walks over the rows `walks` times, and adds up `sums` times what
// its lanes have.
LoopTurns row_turns(const Lowering& l, std::int64_t walks, std::int64_t sums) {
  const std::int64_t lanes = column_tile::row_lanes(column_tile::workgroup(l.device()));
  return {.step = lanes, .per_step = walks, .others = walks + sums * (lanes + 1)};
}

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
  if (activation_.kind != Activation::none) Operation::differentiate(differentiator);
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
  if (activation_.kind != Activation::none) Operation::differentiate(differentiator);
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
  const LoopTurns turns = row_turns(l, 3, 2);
  if (in_parts(l, x(), turns)) return batch_norm2d::lower(*this, l);
  const Layout layout = l.layout(x());
  const auto n = static_cast<double>(layout.rows);
  PlannedDispatch d;
  d.label = fmt::format("{} batch_norm", label);
  d.shader = "batch_norm_forward";
  d.constants = {column_tile::workgroup(l.device()), static_cast<std::uint32_t>(activation_.kind)};
  d.bindings = {l.read(x()),
                l.read(weight()),
                l.read(bias()),
                l.read_write(running_mean()),
                l.read_write(running_var()),
                l.write(y()),
                l.write(mean()),
                l.write(inv_std())};
  d.push = push_bytes(ForwardPush{.rows = to_u32(layout.rows),
                                  .columns = to_u32(layout.columns),
                                  .row_stride = to_u32(layout.row_stride / 4),
                                  .x_replica = l.replica_stride(x()) / 4,
                                  .parameter_replica = l.replica_stride(weight()) / 4,
                                  .state_replica = l.replica_stride(running_mean()) / 4,
                                  .y_replica = l.replica_stride(y()) / 4,
                                  .mean_replica = l.replica_stride(mean()) / 4,
                                  .inv_std_replica = l.replica_stride(inv_std()) / 4,
                                  .epsilon = static_cast<float>(options_.epsilon),
                                  .keep = static_cast<float>(1 - options_.momentum),
                                  .momentum = static_cast<float>(options_.momentum),
                                  .unbias = static_cast<float>(n / (n - 1)),
                                  .alpha = activation_.alpha});
  d.groups = {column_tile::column_groups(layout), 1, 1};
  d.turns = turns.of(layout.rows);
  d.flops = 10.0 * static_cast<double>(layout.size());
  d.bytes = bytes_of(2 * layout.size() + 9 * layout.row_stride);
  l.dispatch(std::move(d));
}

void BatchNormTrain::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(x());
  check_batch(shape, label);
  // The second row of `mean` is the first one's rounding error, which double does not need.
  std::vector<double>& mean_rows = memory[mean()];
  std::fill(mean_rows.begin(), mean_rows.end(), 0.0);
  const auto channels = static_cast<std::size_t>(shape[1]);
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
                               .y = memory[y()],
                               .mean = std::span(mean_rows).first(channels),
                               .inv_std = memory[inv_std()]});
  reference::activate(activation_, memory[y()]);
}

void BatchNormEval::lower(Lowering& l) const {
  if (l.graph().value(x()).shape.rank() == 4) return batch_norm2d::lower(*this, l);
  const Layout layout = l.layout(x());
  const std::uint32_t workgroup = column_tile::workgroup(l.device());
  PlannedDispatch d;
  d.label = fmt::format("{} batch_norm", label);
  d.shader = "batch_norm_eval";
  d.constants = {workgroup, static_cast<std::uint32_t>(activation_.kind)};
  d.bindings = {l.read(x()),           l.read(weight()), l.read(bias()), l.read(running_mean()),
                l.read(running_var()), l.write(y())};
  d.push = push_bytes(EvalPush{.rows = to_u32(layout.rows),
                               .row_stride = to_u32(layout.row_stride / 4),
                               .x_replica = l.replica_stride(x()) / 4,
                               .parameter_replica = l.replica_stride(weight()) / 4,
                               .state_replica = l.replica_stride(running_mean()) / 4,
                               .y_replica = l.replica_stride(y()) / 4,
                               .epsilon = static_cast<float>(options_.epsilon),
                               .alpha = activation_.alpha});
  d.groups = column_tile::elementwise_groups(layout, workgroup);
  d.turns = column_tile::row_turns(layout.rows, d.groups[1], workgroup);
  d.flops = 3.0 * static_cast<double>(layout.size());
  d.bytes = bytes_of(2 * layout.size() + 4 * layout.row_stride);
  l.dispatch(std::move(d));
}

namespace {

std::vector<double> inverse_std(const std::vector<double>& variance, double epsilon) {
  std::vector<double> result(variance.size());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = 1 / std::sqrt(variance[i] + epsilon);
  return result;
}

}  // namespace

void BatchNormEval::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(x());
  const std::vector<double> inv_std = inverse_std(memory[running_var()], options_.epsilon);
  reference::batch_norm_apply({.rows = shape[0],
                               .channels = shape[1],
                               .plane = shape.elements_per_row() / shape[1],
                               .x = memory[x()],
                               .weight = memory[weight()],
                               .bias = memory[bias()],
                               .mean = memory[running_mean()],
                               .inv_std = inv_std,
                               .y = memory[y()]});
  reference::activate(activation_, memory[y()]);
}

void BatchNormBackward::lower(Lowering& l) const {
  const LoopTurns turns = row_turns(l, 2, 1);
  if (in_parts(l, x(), turns)) return batch_norm2d::lower(*this, l);
  const Layout layout = l.layout(x());
  PlannedDispatch d;
  d.label = fmt::format("{} batch_norm backward", label);
  d.shader = "batch_norm_backward";
  d.constants = {column_tile::workgroup(l.device()), training_ ? 1u : 0u};
  d.bindings = {l.read(dy()),     l.read(x()),   l.read(mean()),     l.read(scale()),
                l.read(weight()), l.write(dx()), l.write(dweight()), l.write(dbias())};
  d.push = push_bytes(BackwardPush{.rows = to_u32(layout.rows),
                                   .columns = to_u32(layout.columns),
                                   .row_stride = to_u32(layout.row_stride / 4),
                                   .dy_replica = l.replica_stride(dy()) / 4,
                                   .x_replica = l.replica_stride(x()) / 4,
                                   .mean_replica = l.replica_stride(mean()) / 4,
                                   .scale_replica = l.replica_stride(scale()) / 4,
                                   .weight_replica = l.replica_stride(weight()) / 4,
                                   .dx_replica = l.replica_stride(dx()) / 4,
                                   .dweight_replica = l.replica_stride(dweight()) / 4,
                                   .dbias_replica = l.replica_stride(dbias()) / 4,
                                   .epsilon = static_cast<float>(options_.epsilon)});
  d.groups = {column_tile::column_groups(layout), 1, 1};
  d.turns = turns.of(layout.rows);
  d.flops = 11.0 * static_cast<double>(layout.size());
  d.bytes = bytes_of(3 * layout.size() + 6 * layout.row_stride);
  l.dispatch(std::move(d));
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
  reference::batch_norm_backward({.rows = shape[0],
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
                                  .dbias = memory[dbias()]});
}

}  // namespace vktrain::nn
