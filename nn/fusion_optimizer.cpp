#include "nn/fusion_optimizer.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "nn/ops/gemm.h"
#include "nn/optimizers/gemm_update.h"
#include "nn/optimizers/optimizer_operation.h"
#include "nn/rewrite.h"

namespace vktrain::nn {
namespace {

// The rest of the optimizer can become one dispatch more, which costs lavapipe as much as the
// stores and loads of some 2,000 gradients, and the update waits for the data gradient.
constexpr std::int64_t kLeastWeights = 16 * 1024;

std::size_t optimizer_of(const Graph& graph) {
  for (std::size_t i = graph.operations().size(); i-- > 0;) {
    if (as<OptimizerOperation>(graph, i)) return i;
  }
  return kNoOperation;
}

std::size_t last_reader(const Graph& graph, ValueId value, std::size_t before) {
  std::size_t last = 0;
  for (std::size_t i = 0; i < before; ++i) {
    if (std::ranges::count(graph.operations()[i]->inputs(), value) > 0) last = i;
  }
  return last;
}

bool reads(const Graph& graph, ValueId value, std::size_t except) {
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    if (i != except && std::ranges::count(graph.operations()[i]->inputs(), value) > 0) return true;
  }
  return false;
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

bool fuse_optimizer(Graph& graph, std::size_t index, const runtime::DeviceProfile& device) {
  const auto* gemm = as<Gemm>(graph, index);
  if (!gemm || gemm->form() != GemmForm::tn) return false;
  const ValueId gradient = gemm->c(), dy = gemm->a(), x = gemm->b();
  const ValueId bias_gradient = gemm->epilogue().column_sum;
  const std::size_t optimizer_index = optimizer_of(graph);
  if (optimizer_index == kNoOperation || graph.kept(gradient)) return false;
  const auto* optimizer = as<OptimizerOperation>(graph, optimizer_index);
  const std::vector<ValueId>& gradients = optimizer->values().gradients;
  const auto found = std::ranges::find(gradients, gradient);
  if (found == gradients.end() || !GemmUpdate::supports(*optimizer, device)) return false;
  if (graph.value(gradient).shape.elements() < kLeastWeights) return false;
  if (reads(graph, gradient, optimizer_index)) return false;

  const auto member = static_cast<std::size_t>(found - gradients.begin());
  const ValueId weight = optimizer->values().parameters[member];
  const std::size_t place = std::max(index, last_reader(graph, weight, optimizer_index));
  const std::string label = gemm->label;
  auto merged =
      std::make_unique<GemmUpdate>(dy, x, bias_gradient, take_out(graph, optimizer_index, member));
  merged->label = label;
  // Behind `place`, and the gradient's own place is gone.
  auto& operations = graph.operations();
  operations.insert(operations.begin() + static_cast<std::ptrdiff_t>(place) + 1, std::move(merged));
  operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(index));
  return true;
}

}  // namespace vktrain::nn
