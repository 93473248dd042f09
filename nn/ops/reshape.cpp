#include "nn/ops/reshape.h"

#include <fmt/format.h>

#include "nn/differentiate.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {

ValueId reshape(Graph& graph, ValueId x, const Shape& shape, std::string_view label) {
  const Shape from = graph.value(x).shape;
  if (from.rank() < 2 || shape.rank() < 2 || from[0] != shape[0] ||
      from.elements_per_row() != shape.elements_per_row()) {
    throw Error(fmt::format("[reshape] {}: {} cannot be seen as {}; rows must stay rows", label,
                            to_string(from), to_string(shape)));
  }
  const ValueId y = graph.add_view(fmt::format("{}.view", label), shape, x);
  graph.add(std::make_unique<Reshape>(x, y)).label = label;
  return y;
}

ValueId flatten(Graph& graph, ValueId x, std::string_view label) {
  const Shape shape = graph.value(x).shape;
  if (shape.rank() == 2) return x;
  return reshape(graph, x, {shape[0], shape.elements_per_row()}, label);
}

void Reshape::differentiate(Differentiator& differentiator) const {
  if (!differentiator.needs_gradient(x())) return;
  Graph& graph = differentiator.graph();
  const Shape shape = graph.value(x()).shape;
  differentiator.pass_gradient(x(), reshape(graph, differentiator.gradient_of(y()), shape, label));
}

void Reshape::reference(ReferenceMemory& memory) const { memory[y()] = memory[x()]; }

}  // namespace vktrain::nn
