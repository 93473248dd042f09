#include "nn/ops/linear_cross_entropy.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "nn/lowering.h"
#include "nn/ops/gemm.h"
#include "nn/reference/linear_cross_entropy.h"
#include "nn/reference/reference_memory.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/linear_cross_entropy.comp; replicas of x, weights and gradients in vec4.
struct Push {
  std::uint32_t batch, columns, inputs;
  std::uint32_t x_replica, weight_replica, bias_replica, labels_replica, loss_replica,
      correct_replica, gradient_replica, dx_replica;
  float gradient_scale, label_weight, class_weight, alpha;
};

// A GPU hides the latency of loads by many invocations. A CPU driver computes on vectors of
// invocations, one after the other, and saves loads of the weights where each has several rows.
struct Invocations {
  std::uint32_t workgroup, rows;
};
Invocations invocations_on(const runtime::DeviceProfile& device) {
  if (device.kind == runtime::DeviceKind::cpu) return {8, 4};
  return {32, 1};
}

std::vector<ValueId> inputs_of(const LinearCrossEntropyValues& v) {
  std::vector<ValueId> inputs = {v.x, v.weight, v.labels};
  if (v.bias != kNoValue) inputs.push_back(v.bias);
  return inputs;
}

std::vector<ValueId> outputs_of(const LinearCrossEntropyValues& v) {
  std::vector<ValueId> outputs = {v.result.loss, v.result.correct, v.gradient};
  if (v.data_gradient != kNoValue) outputs.push_back(v.data_gradient);
  if (v.logits != kNoValue) outputs.push_back(v.logits);
  return outputs;
}

}  // namespace

LinearCrossEntropy::LinearCrossEntropy(const LinearCrossEntropyValues& values,
                                       double label_smoothing)
    : Operation(inputs_of(values), outputs_of(values)),
      values_(values),
      label_smoothing_(label_smoothing) {}

void LinearCrossEntropy::lower(Lowering& l) const {
  if (l.layout(values_.gradient).columns > kMostClasses) {
    throw std::invalid_argument(fmt::format("linear cross-entropy of {} classes: at most {}",
                                            l.layout(values_.gradient).columns, kMostClasses));
  }
  if (precision != Precision::f32) {
    throw std::invalid_argument("linear cross-entropy: its kernel computes in f32 alone");
  }
  if (wants_merged(l)) {
    lower_merged(l);
  } else {
    lower_apart(l);
  }
}

// No contest measures it: docs/benchmarks.md has what it is worth.
bool LinearCrossEntropy::wants_merged(Lowering& l) const {
  if (values_.logits == kNoValue) return true;
  const Layout x = l.layout(values_.x), logits = l.layout(values_.gradient);
  return l.choose({.family = "linear cross-entropy",
                   .shape = fmt::format("{}x{}x{}", x.rows, logits.columns, x.columns),
                   .candidates = {"merged", "apart"},
                   .last_resorts = 1,
                   .flops = 0}) == 0;
}

void LinearCrossEntropy::lower_apart(Lowering& l) const {
  const LinearCrossEntropyValues& v = values_;
  const auto lower_part = [&](Operation&& part) {
    part.label = label;
    part.lower(l);
  };
  GemmEpilogue added;
  added.bias = v.bias;
  lower_part(Gemm(GemmForm::nt, v.x, v.weight, v.logits, added));
  lower_part(SoftmaxCrossEntropy(v.logits, v.labels, v.result, v.gradient, label_smoothing_));
  if (v.data_gradient == kNoValue) return;
  GemmEpilogue derivative;
  if (v.gradient_activation.kind != Activation::none) {
    derivative.gradient_activation = v.gradient_activation;
    derivative.gradient_output = v.x;
  }
  lower_part(Gemm(GemmForm::nn, v.gradient, v.weight, v.data_gradient, derivative));
}

void LinearCrossEntropy::lower_merged(Lowering& l) const {
  const LinearCrossEntropyValues& v = values_;
  const Layout x = l.layout(v.x), logits = l.layout(v.gradient);
  const bool bias = v.bias != kNoValue, data_gradient = v.data_gradient != kNoValue;
  const auto [workgroup, rows] = invocations_on(l.device());
  PlannedDispatch d;
  d.label = fmt::format("{} gemm nt, cross-entropy{}", label, data_gradient ? ", gemm nn" : "");
  d.shader = by_texels(l.device(), "linear_cross_entropy");
  d.constants = {workgroup,
                 to_u32(logits.columns),
                 rows,
                 bias ? 1u : 0u,
                 label_smoothing_ > 0 ? 1u : 0u,
                 data_gradient ? 1u : 0u,
                 static_cast<std::uint32_t>(v.gradient_activation.kind)};
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  d.bindings = {l.read(v.x),
                l.read(v.weight),
                l.read(bias ? v.bias : v.weight),
                l.read(v.labels),
                l.write(v.result.loss),
                l.write(v.result.correct),
                l.write(v.gradient),
                l.write(data_gradient ? v.data_gradient : v.gradient)};
  d.push = push_bytes(Push{
      .batch = to_u32(x.rows),
      .columns = to_u32(x.row_stride / 4),
      .inputs = to_u32(x.columns),
      .x_replica = l.replica_stride(v.x) / 4,
      .weight_replica = l.replica_stride(v.weight) / 4,
      .bias_replica = bias ? l.replica_stride(v.bias) : 0,
      .labels_replica = l.replica_stride(v.labels),
      .loss_replica = l.replica_stride(v.result.loss),
      .correct_replica = l.replica_stride(v.result.correct),
      .gradient_replica = l.replica_stride(v.gradient) / 4,
      .dx_replica = data_gradient ? l.replica_stride(v.data_gradient) / 4 : 0,
      .gradient_scale = 1.0f / static_cast<float>(x.rows),
      .label_weight = static_cast<float>(1 - label_smoothing_),
      .class_weight = static_cast<float>(label_smoothing_ / static_cast<double>(logits.columns)),
      .alpha = v.gradient_activation.alpha});
  d.groups = l.groups_for(divide_up(x.rows, rows), workgroup);
  d.turns = (data_gradient ? 2 : 1) * (x.row_stride / 4 + 1);
  d.for_fewer_turns = "use fewer inputs of the last layer";
  const std::int64_t product = x.rows * x.columns * logits.columns;
  d.flops = (data_gradient ? 4.0 : 2.0) * static_cast<double>(product) +
            5.0 * static_cast<double>(logits.size());
  d.bytes = bytes_of(x.size() * (data_gradient ? 2 : 1) + l.layout(v.weight).size() +
                     logits.size() + 3 * x.rows);
  l.dispatch(std::move(d));
}

void LinearCrossEntropy::reference(ReferenceMemory& memory) const {
  const LinearCrossEntropyValues& v = values_;
  const Shape x = memory.shape(v.x);
  reference::LinearCrossEntropySpans spans = {.x = memory[v.x],
                                              .weight = memory[v.weight],
                                              .bias = memory.optional(v.bias),
                                              .labels = memory[v.labels],
                                              .loss = memory[v.result.loss],
                                              .correct = memory[v.result.correct],
                                              .logits = {},
                                              .gradient = memory[v.gradient],
                                              .data_gradient = {}};
  if (v.logits != kNoValue) spans.logits = memory[v.logits];
  if (v.data_gradient != kNoValue) spans.data_gradient = memory[v.data_gradient];
  reference::linear_cross_entropy(x[0], x.elements_per_row(), memory.shape(v.weight)[0],
                                  label_smoothing_, v.gradient_activation, spans);
}

}  // namespace vktrain::nn
