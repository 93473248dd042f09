#include "nn/fusion_optimizer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nn/ops/gemm.h"
#include "nn/optimizers/gemm_update.h"
#include "nn/optimizers/optimizer_operation.h"
#include "nn/rewrite.h"

namespace vktrain::nn {
namespace {

// Lavapipe saves about 1.5 ns a weight (80 to 150 us of a step of a-fcn-100k, which has 78,400 in
// its first layer), and loses 10 to 20 us where the rest of the optimizer becomes one dispatch more
// or the update waits for the data gradient.
constexpr std::int64_t kLeastWeights = 16384;

std::size_t optimizer_of(const Graph& graph) {
  for (std::size_t i = graph.operations().size(); i-- > 0;) {
    if (as<OptimizerOperation>(graph, i)) return i;
  }
  return kNoOperation;
}

bool reads(const Graph& graph, std::size_t index, ValueId value) {
  return value != kNoValue && std::ranges::count(graph.operations()[index]->inputs(), value) > 0;
}

// Number of the last operation before `end` that reads the value; 0 where none does.
std::size_t last_reader(const Graph& graph, ValueId value, std::size_t end) {
  while (end-- > 0) {
    if (reads(graph, end, value)) return end;
  }
  return 0;
}

// A weight gradient that can update its weights, and what it takes for that.
struct Merge {
  const Gemm* gemm = nullptr;
  std::size_t optimizer = 0;  // its index
  std::size_t member = 0;     // of the weights among its parameters
  std::size_t place = 0;      // the last operation that needs the weights as they are
};

std::optional<Merge> find_merge(const Graph& graph, std::size_t index,
                                const runtime::DeviceProfile& device) {
  Merge m = {.gemm = as<Gemm>(graph, index), .optimizer = optimizer_of(graph)};
  if (!m.gemm || m.gemm->form() != GemmForm::tn || m.optimizer == kNoOperation) return {};
  const ValueId gradient = m.gemm->c();
  if (graph.value(gradient).shape.elements() < kLeastWeights || graph.kept(gradient)) return {};

  const auto* optimizer = as<OptimizerOperation>(graph, m.optimizer);
  const std::vector<ValueId>& gradients = optimizer->values().gradients;
  const auto found = std::ranges::find(gradients, gradient);
  if (found == gradients.end() || !GemmUpdate::supports(*optimizer, graph.parameters(), device)) {
    return {};
  }
  m.member = static_cast<std::size_t>(found - gradients.begin());
  m.place =
      std::max(index, last_reader(graph, optimizer->values().parameters[m.member], m.optimizer));
  // The optimizer alone reads the gradient, and nobody the bias gradient before it is made.
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    if (i != m.optimizer && reads(graph, i, gradient)) return {};
    if (i > index && i <= m.place && reads(graph, i, m.gemm->epilogue().column_sum)) return {};
  }
  return m;
}

// Takes parameter number `member` out of the optimizer at `index` (which is erased with its last
// one) and returns an optimizer of it alone.
std::unique_ptr<OptimizerOperation> take_out(Graph& graph, std::size_t index, std::size_t member) {
  const auto& optimizer = *as<OptimizerOperation>(graph, index);
  OptimizerValues rest = optimizer.values(), one = rest;
  one.parameters = {rest.parameters[member]};
  one.gradients = {rest.gradients[member]};
  rest.parameters.erase(rest.parameters.begin() + static_cast<std::ptrdiff_t>(member));
  rest.gradients.erase(rest.gradients.begin() + static_cast<std::ptrdiff_t>(member));
  const OptimizerConfig config = optimizer.config();
  auto& operations = graph.operations();
  if (rest.parameters.empty()) {
    operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(index));
  } else {
    const std::string label = optimizer.label;
    operations[index] = make_optimizer(config, std::move(rest));
    operations[index]->label = label;
  }
  return make_optimizer(config, std::move(one));
}

}  // namespace

bool fuse_weight_update(Graph& graph, std::size_t index, const runtime::DeviceProfile& device) {
  const std::optional<Merge> merge = find_merge(graph, index, device);
  if (!merge) return false;
  const ValueId dy = merge->gemm->a(), x = merge->gemm->b();
  const ValueId bias_gradient = merge->gemm->epilogue().column_sum;
  const std::string label = merge->gemm->label;
  auto merged = std::make_unique<GemmUpdate>(dy, x, bias_gradient,
                                             take_out(graph, merge->optimizer, merge->member));
  merged->label = label;
  // Behind `place`, and the gradient's own place is gone.
  auto& operations = graph.operations();
  operations.insert(operations.begin() + static_cast<std::ptrdiff_t>(merge->place) + 1,
                    std::move(merged));
  operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(index));
  return true;
}

}  // namespace vktrain::nn
