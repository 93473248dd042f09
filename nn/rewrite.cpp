#include "nn/rewrite.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "nn/ops/conv2d.h"

namespace vktrain::nn {
namespace {

bool lists(const std::vector<ValueId>& ids, ValueId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

std::size_t sole_producer(const Graph& graph, ValueId value, std::size_t consumer) {
  if (graph.kept(value) || graph.value(value).kind != ValueKind::activation) return kNoOperation;
  std::size_t producer = kNoOperation;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    if (lists(graph.operations()[i]->outputs(), value)) producer = i;
    if (i != consumer && lists(graph.operations()[i]->inputs(), value)) return kNoOperation;
  }
  return producer;
}

void merge(Graph& graph, std::size_t kept_index, std::size_t removed_index,
           std::unique_ptr<Operation> merged, std::string label) {
  auto& operations = graph.operations();
  merged->label = std::move(label);
  operations[kept_index] = std::move(merged);
  operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(removed_index));
}

bool is_plain(const GemmEpilogue& e) {
  return e.activation.kind == Activation::none && e.gradient_output == kNoValue &&
         e.column_sum == kNoValue;
}

std::unique_ptr<Operation> with_derivative(const Graph& graph, const Operation& product,
                                           ValueId result, const ActivationSpec& activation,
                                           ValueId operand) {
  if (const auto* gemm = dynamic_cast<const Gemm*>(&product)) {
    if (!is_plain(gemm->epilogue()) || gemm->epilogue().bias != kNoValue) return nullptr;
    // The kernel reads the operand with the layout of the product.
    if (graph.value(operand).shape != graph.value(gemm->c()).shape) return nullptr;
    GemmEpilogue epilogue;
    epilogue.gradient_activation = activation;
    epilogue.gradient_output = operand;
    return std::make_unique<Gemm>(gemm->form(), gemm->a(), gemm->b(), result, epilogue);
  }
  const auto* conv = dynamic_cast<const Conv2dDataGradient*>(&product);
  if (!conv || conv->gradient_output() != kNoValue) return nullptr;
  return std::make_unique<Conv2dDataGradient>(conv->dy(), conv->weight(), result, conv->options(),
                                              activation, operand, conv->winners());
}

bool is_plain(const BatchNormEpilogue& e) {
  return e.activation.kind == Activation::none && !e.max_pool;
}

}  // namespace vktrain::nn
