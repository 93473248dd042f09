#include "nn/fusion_linear_cross_entropy.h"

#include <memory>
#include <utility>

#include "nn/ops/gemm.h"
#include "nn/ops/linear_cross_entropy.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/rewrite.h"

namespace vktrain::nn {
namespace {

// The product that makes the data gradient of `values`, with at most the derivative of an
// activation whose output is x; kNoOperation where there is none.
std::size_t data_gradient_of(const Graph& graph, const LinearCrossEntropyValues& values) {
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const auto* gemm = as<Gemm>(graph, i);
    if (!gemm || gemm->form() != GemmForm::nn || gemm->a() != values.gradient) continue;
    if (gemm->b() != values.weight) continue;
    const GemmEpilogue& e = gemm->epilogue();
    if (e.bias != kNoValue || e.activation.kind != Activation::none) continue;
    if (e.gradient_output == kNoValue) return i;
    if (e.gradient_output == values.x && !derivative_needs_input(e.gradient_activation.kind)) {
      return i;
    }
  }
  return kNoOperation;
}

}  // namespace

bool fuse_linear_cross_entropy(Graph& graph, std::size_t index) {
  const auto* loss = as<SoftmaxCrossEntropy>(graph, index);
  if (!loss || loss->result().loss == kNoValue || loss->gradient() == kNoValue) return false;
  const std::size_t producer = sole_producer(graph, loss->logits(), index);
  const auto* product = producer == kNoOperation ? nullptr : as<Gemm>(graph, producer);
  if (!product || product->form() != GemmForm::nt || !is_plain(product->epilogue())) return false;
  const Value& weight = graph.value(product->b());
  if (weight.kind != ValueKind::parameter) return false;  // its padding is 0, as the kernel needs
  if (weight.shape[0] > LinearCrossEntropy::kMostClasses ||
      weight.shape.elements_per_row() > LinearCrossEntropy::kMostInputs) {
    return false;
  }
  LinearCrossEntropyValues values = {.x = product->a(),
                                     .weight = product->b(),
                                     .bias = product->epilogue().bias,
                                     .labels = loss->labels(),
                                     .result = loss->result(),
                                     .logits = loss->logits(),
                                     .gradient = loss->gradient(),
                                     .data_gradient = kNoValue,
                                     .gradient_activation = {}};
  const std::size_t backward = data_gradient_of(graph, values);
  if (backward != kNoOperation) {
    const auto* gemm = as<Gemm>(graph, backward);
    values.data_gradient = gemm->c();
    values.gradient_activation = gemm->epilogue().gradient_activation;
  }
  const std::string label = product->label;
  auto merged = std::make_unique<LinearCrossEntropy>(values, loss->label_smoothing());
  // The data gradient's place is behind the loss's, and that behind the product's.
  auto& operations = graph.operations();
  if (backward != kNoOperation) {
    operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(backward));
  }
  merge(graph, index, producer, std::move(merged), label);
  return true;
}

}  // namespace vktrain::nn
