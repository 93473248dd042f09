#include "nn/ops/softmax_cross_entropy.h"

#include <fmt/format.h>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/reference/reference_memory.h"
#include "nn/reference/softmax_cross_entropy.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

struct Push {
  std::uint32_t batch, classes, row_stride;
  std::uint32_t logits_replica, labels_replica, loss_replica, correct_replica, gradient_replica;
  float gradient_scale;
  float label_weight, class_weight;
};

std::vector<ValueId> outputs_of(const CrossEntropy& result, ValueId gradient) {
  std::vector<ValueId> outputs;
  if (result.loss != kNoValue) outputs = {result.loss, result.correct};
  if (gradient != kNoValue) outputs.push_back(gradient);
  return outputs;
}

}  // namespace

CrossEntropy softmax_cross_entropy(Graph& graph, ValueId logits, ValueId labels,
                                   double label_smoothing) {
  if (graph.value(logits).shape.rank() != 2) {
    throw Error(
        fmt::format("[softmax_cross_entropy] expected logits of shape [batch, classes], "
                    "found {}; end the model with a flatten and a linear layer",
                    to_string(graph.value(logits).shape)));
  }
  if (!(label_smoothing >= 0 && label_smoothing <= 1)) {
    throw Error(
        fmt::format("[softmax_cross_entropy] expected a label smoothing from 0 to 1, found {}",
                    label_smoothing));
  }
  const CrossEntropy result = {.loss = graph.add_activation("loss", {kBatch}),
                               .correct = graph.add_activation("correct", {kBatch}, DType::u32)};
  graph
      .add(std::make_unique<SoftmaxCrossEntropy>(logits, labels, result, kNoValue, label_smoothing))
      .label = "loss";
  return result;
}

SoftmaxCrossEntropy::SoftmaxCrossEntropy(ValueId logits, ValueId labels, const CrossEntropy& result,
                                         ValueId gradient, double label_smoothing)
    : Operation({logits, labels}, outputs_of(result, gradient)),
      result_(result),
      gradient_(gradient),
      label_smoothing_(label_smoothing) {}

void SoftmaxCrossEntropy::differentiate(Differentiator& differentiator) const {
  const ValueId gradient = differentiator.new_gradient(logits());
  differentiator.graph()
      .add(std::make_unique<SoftmaxCrossEntropy>(logits(), labels(), CrossEntropy{}, gradient,
                                                 label_smoothing_))
      .label = label;
}

void SoftmaxCrossEntropy::lower(Lowering& l) const {
  const Layout layout = l.layout(logits());
  const bool forward = result_.loss != kNoValue, backward = gradient_ != kNoValue;
  PlannedDispatch dispatch;
  dispatch.label = backward && !forward ? "cross-entropy gradient" : "cross-entropy";
  dispatch.shader = "softmax_cross_entropy";
  dispatch.constants = {64, forward ? 1u : 0u, backward ? 1u : 0u, label_smoothing_ > 0 ? 1u : 0u};
  const PlannedBinding any = l.write(forward ? result_.loss : gradient_);
  dispatch.bindings = {l.read(logits()), l.read(labels()), forward ? l.write(result_.loss) : any,
                       forward ? l.write(result_.correct) : any,
                       backward ? l.write(gradient_) : any};
  dispatch.push = push_bytes(Push{
      .batch = static_cast<std::uint32_t>(layout.rows),
      .classes = static_cast<std::uint32_t>(layout.columns),
      .row_stride = static_cast<std::uint32_t>(layout.row_stride),
      .logits_replica = l.replica_stride(logits()),
      .labels_replica = l.replica_stride(labels()),
      .loss_replica = forward ? l.replica_stride(result_.loss) : 0,
      .correct_replica = forward ? l.replica_stride(result_.correct) : 0,
      .gradient_replica = backward ? l.replica_stride(gradient_) : 0,
      .gradient_scale = 1.0f / static_cast<float>(layout.rows),
      .label_weight = static_cast<float>(1 - label_smoothing_),
      .class_weight = static_cast<float>(label_smoothing_ / static_cast<double>(layout.columns))});
  dispatch.groups = l.groups_for(layout.rows, 64);
  dispatch.turns = 2 * layout.columns + 1 + (backward ? layout.row_stride + 1 : 0);
  dispatch.for_fewer_turns = "use fewer classes";
  dispatch.flops = 5.0 * static_cast<double>(layout.size());
  dispatch.bytes = 4.0 * static_cast<double>(layout.size()) * (backward ? 2 : 1);
  l.dispatch(std::move(dispatch));
}

void SoftmaxCrossEntropy::reference(ReferenceMemory& memory) const {
  const Shape shape = memory.shape(logits());
  if (result_.loss != kNoValue) {
    reference::softmax_cross_entropy(shape[0], shape[1], label_smoothing_, memory[logits()],
                                     memory[labels()], memory[result_.loss],
                                     memory[result_.correct]);
  }
  if (gradient_ != kNoValue) {
    reference::softmax_cross_entropy_gradient(shape[0], shape[1], label_smoothing_,
                                              memory[logits()], memory[labels()],
                                              memory[gradient_]);
  }
}

}  // namespace vktrain::nn
