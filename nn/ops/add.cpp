#include "nn/ops/add.h"

#include <fmt/format.h>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/reference/activation.h"
#include "nn/reference/add.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/add.comp.
struct AddPush {
  std::uint32_t count, a_replica, b_replica, sum_replica;
  float alpha;
};

}  // namespace

ValueId add(Graph& graph, ValueId a, ValueId b, std::string_view label) {
  const Shape shape = graph.value(a).shape;
  if (shape != graph.value(b).shape) {
    throw Error(fmt::format("[add] {}: expected two values of one shape, found {} and {}", label,
                            to_string(shape), to_string(graph.value(b).shape)));
  }
  const ValueId sum = graph.add_activation(fmt::format("{}.sum", label), shape);
  graph.add(std::make_unique<Add>(a, b, sum)).label = label;
  return sum;
}

void Add::differentiate(Differentiator& differentiator) const {
  if (activation_.kind != Activation::none) Operation::differentiate(differentiator);
  const ValueId gradient = differentiator.gradient_of(sum());
  differentiator.pass_gradient(a(), gradient);
  differentiator.pass_gradient(b(), gradient);
}

void Add::lower(Lowering& l) const {
  const std::int64_t size = l.layout(sum()).size();
  PlannedDispatch d;
  d.label = fmt::format("{} add", label);
  d.shader = by_texels(l.device(), "add");
  d.constants = {kElementwiseWorkgroup, static_cast<std::uint32_t>(activation_.kind)};
  d.bindings = {l.read(a()), l.read(b()), l.write(sum())};
  d.push =
      push_bytes(AddPush{to_u32(size / 4), l.replica_stride(a()) / 4, l.replica_stride(b()) / 4,
                         l.replica_stride(sum()) / 4, activation_.alpha});
  d.groups = l.groups_for(size / 4, kElementwiseWorkgroup);
  d.flops = static_cast<double>(size);
  d.bytes = bytes_of(3 * size);
  l.dispatch(std::move(d));
}

void Add::reference(ReferenceMemory& memory) const {
  reference::add(memory[a()], memory[b()], memory[sum()]);
  reference::activate(activation_, memory[sum()]);
}

}  // namespace vktrain::nn
