#include "nn/ops/confusion_matrix.h"

#include <fmt/format.h>

#include "nn/lowering.h"
#include "nn/reference/confusion_matrix.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

constexpr std::uint32_t kWorkgroup = 64;

// Mirrors shaders/confusion_matrix.comp.
struct Push {
  std::uint32_t batch, classes, row_stride, logits_replica, labels_replica, counts_replica;
};

}  // namespace

ValueId confusion_matrix(Graph& graph, ValueId logits, ValueId labels) {
  const Shape& shape = graph.value(logits).shape;
  if (shape.rank() != 2) {
    throw Error(
        fmt::format("[confusion_matrix] expected logits of shape [batch, classes], found {}; end "
                    "the model with "
                    "a flatten and a linear layer",
                    to_string(shape)));
  }
  const std::int64_t classes = shape[1];
  const ValueId counts = graph.add_external("confusion", {classes, classes}, DType::u32, false);
  graph.add(std::make_unique<CountConfusion>(logits, labels, counts)).label = "confusion";
  return counts;
}

void CountConfusion::lower(Lowering& l) const {
  const Layout layout = l.layout(logits());
  PlannedDispatch dispatch;
  dispatch.label = "confusion matrix";
  dispatch.shader = "confusion_matrix";
  dispatch.constants = {kWorkgroup};
  dispatch.bindings = {l.read(logits()), l.read(labels()), l.read_write(counts())};
  dispatch.push = push_bytes(Push{.batch = to_u32(layout.rows),
                                  .classes = to_u32(layout.columns),
                                  .row_stride = to_u32(layout.row_stride / 4),
                                  .logits_replica = l.replica_stride(logits()) / 4,
                                  .labels_replica = l.replica_stride(labels()),
                                  .counts_replica = l.replica_stride(counts())});
  dispatch.groups = l.groups_for(layout.rows, kWorkgroup);
  dispatch.turns = layout.row_stride / 4 * (1 + 4 + 1) + 1;  // a loop over four in each turn
  dispatch.for_fewer_turns = "use fewer classes";
  dispatch.flops = static_cast<double>(layout.size());
  dispatch.bytes = bytes_of(layout.size() + 2 * layout.rows);
  l.dispatch(std::move(dispatch));
}

void CountConfusion::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(logits());
  reference::confusion_matrix(shape[0], shape[1], memory[logits()], memory[labels()],
                              memory[counts()]);
}

}  // namespace vktrain::nn
