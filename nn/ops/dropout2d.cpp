#include "nn/ops/dropout2d.h"

#include <fmt/format.h>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/ops/dropout.h"
#include "nn/ops/plane_walk.h"
#include "nn/reference/dropout2d.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/dropout2d_draw.comp.
struct DrawPush {
  std::uint32_t count, hyperparameters_replica, factors_replica, slot;
};

// Mirrors shaders/dropout2d.comp.
struct ScalePush {
  plane_walk::Planes planes;
  std::uint32_t x_replica, factors_replica, y_replica;
};

}  // namespace

ValueId dropout2d(Graph& graph, ValueId x, std::uint32_t slot, const StepInputs& inputs,
                  std::string_view label) {
  const Shape shape = graph.value(x).shape;
  if (shape.rank() != 4) {
    throw Error(fmt::format(
        "[dropout2d] {}: expected input of shape [batch, channels, height, width], found {}; "
        "dropout takes any shape",
        label, to_string(shape)));
  }
  check_dropout_slot("dropout2d", slot, label);
  const ValueId y = graph.add_activation(fmt::format("{}.dropout", label), shape);
  graph.add(std::make_unique<Dropout2d>(x, y, slot, inputs.state, inputs.hyperparameters)).label =
      label;
  return y;
}

void Dropout2d::differentiate(Differentiator& differentiator) const {
  const ValueId dy = differentiator.gradient_of(y());
  if (!differentiator.needs_gradient(x())) return;
  const ValueId dx = differentiator.new_gradient(x());
  differentiator.graph()
      .add(std::make_unique<Dropout2d>(dy, dx, slot(), state(), hyperparameters()))
      .label = label;
}

void Dropout2d::lower(Lowering& l) const {
  using runtime::Access;
  const plane_walk::Planes planes = plane_walk::for_writing(plane_walk::planes_of(l, x()));
  const std::int64_t draws = std::int64_t{planes.rows} * planes.channels;
  const std::int64_t draws4 = divide_up(draws, 4);
  const std::uint32_t factors = l.scratch(draws4 * 4);
  const std::uint32_t factors_replica = plane_walk::scratch_stride(draws4 * 4);

  PlannedDispatch draw;
  draw.label = fmt::format("{} dropout2d draw", label);
  draw.shader = "dropout2d_draw";
  draw.constants = {kElementwiseWorkgroup};
  draw.bindings = {l.read(state()), l.read(hyperparameters()),
                   l.scratch_binding(factors, Access::write)};
  draw.push = push_bytes(DrawPush{to_u32(draws4),
                                  l.replica_stride(hyperparameters()) / kHyperparameterWords,
                                  factors_replica / 4, slot()});
  draw.groups = l.groups_for(draws4, kElementwiseWorkgroup);
  draw.flops = 2.0 * static_cast<double>(draws);
  draw.bytes = bytes_of(draws);
  l.dispatch(std::move(draw));

  PlannedDispatch scale = plane_walk::walk(planes, by_texels(l.device(), "dropout2d"));
  scale.label = fmt::format("{} dropout2d", label);
  scale.bindings = {l.read(x()),
                    l.scratch_binding(factors, Access::read).as_texels(runtime::TexelFormat::r32f),
                    l.write(y())};
  scale.push = push_bytes(
      ScalePush{planes, l.replica_stride(x()) / 4, factors_replica, l.replica_stride(y()) / 4});
  scale.flops = static_cast<double>(planes.size());
  scale.bytes = bytes_of(2 * planes.size() + draws);
  l.dispatch(std::move(scale));
}

void Dropout2d::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(x());
  reference::dropout2d(shape[0], shape[1], shape.elements_per_row() / shape[1],
                       dropout_settings(memory, state(), hyperparameters(), slot()), memory[x()],
                       memory[y()]);
}

}  // namespace vktrain::nn
