#include "nn/rewrite.h"

#include <algorithm>
#include <utility>
#include <vector>

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

bool is_plain(const BatchNormEpilogue& e) {
  return e.activation.kind == Activation::none && !e.max_pool;
}

}  // namespace vktrain::nn
