#include "nn/ops/dropout.h"

#include <fmt/format.h>

#include <bit>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/reference/dropout.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/dropout.comp.
struct DropoutPush {
  std::uint32_t count, x_replica, y_replica, hyperparameters_replica, slot;
};

// Vec4 of an invocation. A CPU driver loads each of the numbers that all invocations share lane by
// lane: with one vec4 lavapipe spends three quarters of the kernel on that (1,048,576 elements, one
// thread: 11.5 ms, with eight 4.3).
std::uint32_t items_per_invocation(const runtime::DeviceProfile& device) {
  return device.kind == runtime::DeviceKind::cpu ? 8 : 1;
}

}  // namespace

ValueId dropout(Graph& graph, ValueId x, std::uint32_t slot, const StepInputs& inputs,
                std::string_view label) {
  check_dropout_slot("dropout", slot, label);
  const ValueId y = graph.add_activation(fmt::format("{}.dropout", label), graph.value(x).shape);
  graph.add(std::make_unique<Dropout>(x, y, slot, inputs.state, inputs.hyperparameters)).label =
      label;
  return y;
}

void Dropout::differentiate(Differentiator& differentiator) const {
  const ValueId dy = differentiator.gradient_of(y());
  if (!differentiator.needs_gradient(x())) return;
  const ValueId dx = differentiator.new_gradient(x());
  differentiator.graph()
      .add(std::make_unique<Dropout>(dy, dx, slot(), state(), hyperparameters()))
      .label = label;
}

void Dropout::lower(Lowering& l) const {
  const std::int64_t size = l.layout(x()).size();
  PlannedDispatch d;
  d.label = fmt::format("{} dropout", label);
  d.shader = by_texels(l.device(), "dropout");
  const std::uint32_t items = items_per_invocation(l.device());
  d.constants = {kElementwiseWorkgroup, items};
  d.bindings = {l.read(x()), l.write(y()), l.read(state()), l.read(hyperparameters())};
  d.push =
      push_bytes(DropoutPush{to_u32(size / 4), l.replica_stride(x()) / 4, l.replica_stride(y()) / 4,
                             l.replica_stride(hyperparameters()) / kHyperparameterWords, slot()});
  d.groups = l.groups_for(size / 4, std::int64_t{kElementwiseWorkgroup} * items);
  d.flops = 2.0 * static_cast<double>(size);
  d.bytes = bytes_of(2 * size);
  l.dispatch(std::move(d));
}

void Dropout::reference(ReferenceMemory& memory) const {
  const Layout layout = layout_of(memory.shape(x()));
  reference::dropout(layout.rows, layout.columns,
                     dropout_settings(memory, state(), hyperparameters(), slot()), memory[x()],
                     memory[y()]);
}

void check_dropout_slot(std::string_view kind, std::uint32_t slot, std::string_view label) {
  if (slot < kMaxDropoutLayers) return;
  throw Error(fmt::format("[{}] {}: this is dropout layer {}, but a network can have {}", kind,
                          label, slot + 1, kMaxDropoutLayers));
}

reference::DropoutSettings dropout_settings(const ReferenceMemory& memory, ValueId state,
                                            ValueId hyperparameters, std::uint32_t slot) {
  const auto word = [](const std::vector<double>& words, std::size_t i) {
    return static_cast<std::uint32_t>(words[i]);
  };
  constexpr std::size_t kStepWord = offsetof(StepState, step) / 4;
  constexpr std::size_t kSeedWord = offsetof(Hyperparameters, seed) / 4;
  constexpr std::size_t kDropoutWord = offsetof(Hyperparameters, dropout) / 4;
  const std::vector<double>& hyper = memory[hyperparameters];
  return {.probability = std::bit_cast<float>(word(hyper, kDropoutWord + slot)),
          .seed = {word(hyper, kSeedWord), word(hyper, kSeedWord + 1)},
          .step = word(memory[state], kStepWord),
          .slot = slot};
}

}  // namespace vktrain::nn
