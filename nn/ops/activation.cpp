#include "nn/ops/activation.h"

#include <fmt/format.h>

#include <cmath>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/reference/activation.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/activation_forward.comp.
struct ForwardPush {
  std::uint32_t count, x_replica, y_replica;
  float alpha;
};

// Mirrors shaders/activation_backward.comp.
struct BackwardPush {
  std::uint32_t count, dy_replica, operand_replica, dx_replica;
  float alpha;
};

// Floating point operations per element, a division or exponential counted as one.
double operations_per_element(Activation kind) {
  switch (kind) {
    case Activation::none:
    case Activation::relu:
    case Activation::leaky_relu:
      return 1;
    case Activation::gelu:
      return 24;
    default:
      return 8;
  }
}

bool has_alpha(Activation kind) {
  return kind == Activation::elu || kind == Activation::leaky_relu;
}

}  // namespace

std::string_view to_string(Activation kind) {
  switch (kind) {
    case Activation::none:
      return "none";
    case Activation::relu:
      return "relu";
    case Activation::tanh:
      return "tanh";
    case Activation::sigmoid:
      return "sigmoid";
    case Activation::elu:
      return "elu";
    case Activation::leaky_relu:
      return "leaky_relu";
    case Activation::gelu:
      return "gelu";
    case Activation::silu:
      return "silu";
  }
  return "?";
}

bool is_monotonic(Activation kind) {
  switch (kind) {
    case Activation::none:
    case Activation::relu:
    case Activation::tanh:
    case Activation::sigmoid:
    case Activation::elu:
    case Activation::leaky_relu:
      return true;
    case Activation::gelu:
    case Activation::silu:
      return false;
  }
  return false;
}

bool derivative_needs_input(Activation kind) {
  return kind == Activation::gelu || kind == Activation::silu;
}

ValueId activation(Graph& graph, ValueId x, const ActivationSpec& activation,
                   std::string_view label) {
  if (activation.kind == Activation::none) return x;
  if (has_alpha(activation.kind) && !(activation.alpha > 0 && std::isfinite(activation.alpha))) {
    throw Error(fmt::format("[activation] {}: expected a positive alpha for {}, found {}", label,
                            to_string(activation.kind), activation.alpha));
  }
  const ValueId y = graph.add_activation(fmt::format("{}.{}", label, to_string(activation.kind)),
                                         graph.value(x).shape);
  graph.add(std::make_unique<ActivationForward>(x, y, activation)).label = label;
  return y;
}

void ActivationForward::differentiate(Differentiator& differentiator) const {
  const ValueId dy = differentiator.gradient_of(y());
  if (!differentiator.needs_gradient(x())) return;
  const ValueId dx = differentiator.new_gradient(x());
  const ValueId operand = derivative_needs_input(activation_.kind) ? x() : y();
  differentiator.graph()
      .add(std::make_unique<ActivationBackward>(dy, operand, dx, activation_))
      .label = label;
}

void ActivationForward::lower(Lowering& l) const {
  const std::int64_t size = l.layout(x()).size();
  PlannedDispatch d;
  d.label = fmt::format("{} {}", label, to_string(activation_.kind));
  d.shader = by_texels(l.device(), "activation_forward");
  d.constants = {kElementwiseWorkgroup, static_cast<std::uint32_t>(activation_.kind)};
  d.bindings = {l.read(x()), l.write(y())};
  d.push = push_bytes(ForwardPush{to_u32(size / 4), l.replica_stride(x()) / 4,
                                  l.replica_stride(y()) / 4, activation_.alpha});
  d.groups = l.groups_for(size / 4, kElementwiseWorkgroup);
  d.flops = operations_per_element(activation_.kind) * static_cast<double>(size);
  d.bytes = bytes_of(2 * size);
  l.dispatch(std::move(d));
}

void ActivationForward::reference(ReferenceMemory& memory) const {
  for (std::size_t i = 0; i < memory[y()].size(); ++i) {
    memory[y()][i] = reference::activation(activation_, memory[x()][i]);
  }
}

void ActivationBackward::lower(Lowering& l) const {
  const std::int64_t size = l.layout(operand()).size();
  PlannedDispatch d;
  d.label = fmt::format("{} {} backward", label, to_string(activation_.kind));
  d.shader = by_texels(l.device(), "activation_backward");
  d.constants = {kElementwiseWorkgroup, static_cast<std::uint32_t>(activation_.kind)};
  d.bindings = {l.read(dy()), l.read(operand()), l.write(dx())};
  d.push = push_bytes(BackwardPush{to_u32(size / 4), l.replica_stride(dy()) / 4,
                                   l.replica_stride(operand()) / 4, l.replica_stride(dx()) / 4,
                                   activation_.alpha});
  d.groups = l.groups_for(size / 4, kElementwiseWorkgroup);
  d.flops = 3.0 * static_cast<double>(size);
  d.bytes = bytes_of(3 * size);
  l.dispatch(std::move(d));
}

void ActivationBackward::reference(ReferenceMemory& memory) const {
  for (std::size_t i = 0; i < memory[dx()].size(); ++i) {
    memory[dx()][i] =
        memory[dy()][i] * reference::activation_derivative(activation_, memory[operand()][i]);
  }
}

}  // namespace vktrain::nn
