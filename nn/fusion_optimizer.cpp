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

// Whether operations between the two, the last included, read the value.
bool read_between(const Graph& graph, ValueId value, std::size_t after, std::size_t last) {
  for (std::size_t i = after + 1; i <= last; ++i) {
    if (reads(graph, i, value)) return true;
  }
  return false;
}

// A weight gradient that can update its weights, and what it takes for that.
struct Merge {
  const Gemm* gemm = nullptr;
  std::size_t optimizer = 0;         // its index
  std::vector<std::size_t> members;  // the weights among its parameters, and their bias if possible
  std::size_t place = 0;             // the last operation that needs them as they are

  ValueId bias_gradient() const { return gemm->epilogue().column_sum; }
};

// Adds the parameter with this gradient to the merge, if the optimizer alone reads the gradient.
// Else leaves the merge as it is.
bool add_member(const Graph& graph, Merge& merge, ValueId gradient) {
  const OptimizerValues& values = as<OptimizerOperation>(graph, merge.optimizer)->values();
  const auto found = std::ranges::find(values.gradients, gradient);
  if (found == values.gradients.end() || graph.kept(gradient)) return false;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    if (i != merge.optimizer && reads(graph, i, gradient)) return false;
  }
  merge.members.push_back(static_cast<std::size_t>(found - values.gradients.begin()));
  merge.place = std::max(
      merge.place, last_reader(graph, values.parameters[merge.members.back()], merge.optimizer));
  return true;
}

// The bias of the weights, too, if the optimizer alone reads its gradient and it stands behind them
// in the range, where the kernel counts from the weights on.
bool add_bias(const Graph& graph, Merge& merge) {
  const OptimizerValues& values = as<OptimizerOperation>(graph, merge.optimizer)->values();
  const ParameterLayout layout(graph.parameters());
  const auto offset = [&](std::size_t member) {
    return layout.offset(graph.value(values.parameters[member]).parameter);
  };
  Merge with_bias = merge;
  if (!add_member(graph, with_bias, merge.bias_gradient())) return false;
  if (offset(with_bias.members.front()) > offset(with_bias.members.back())) return false;
  merge = std::move(with_bias);
  return true;
}

// `all`: of few weights, too, and none whose bias is left.
std::optional<Merge> find_merge(const Graph& graph, std::size_t index,
                                const runtime::DeviceProfile& device, bool all) {
  Merge m = {.gemm = as<Gemm>(graph, index), .optimizer = optimizer_of(graph), .members = {}};
  if (!m.gemm || m.gemm->form() != GemmForm::tn || m.optimizer == kNoOperation) return {};
  const auto* optimizer = as<OptimizerOperation>(graph, m.optimizer);
  if (!GemmUpdate::supports(*optimizer, graph.parameters(), device)) return {};
  const ValueId gradient = m.gemm->c();
  // Lavapipe saves about 1.5 ns a weight (80 to 150 us of a step of a-fcn-100k, which has 78,400 in
  // its first layer), and loses 10 to 20 us where the rest of the optimizer becomes one dispatch
  // more or the update waits for the data gradient.
  if (!all && graph.value(gradient).shape.elements() < GemmUpdate::kManyWeights) return {};
  m.place = index;
  if (!add_member(graph, m, gradient)) return {};
  if (m.bias_gradient() == kNoValue || add_bias(graph, m)) return m;
  // The bias is left, and nobody may read its gradient before it is made.
  if (all || read_between(graph, m.bias_gradient(), index, m.place)) return {};
  return m;
}

// Takes those parameters out of the optimizer at `index` (which is erased with its last one) and
// returns an optimizer of them alone.
std::unique_ptr<OptimizerOperation> take_out(Graph& graph, std::size_t index,
                                             const std::vector<std::size_t>& members) {
  const auto& optimizer = *as<OptimizerOperation>(graph, index);
  const OptimizerConfig config = optimizer.config();
  OptimizerValues rest = optimizer.values(), taken = rest;
  taken.parameters.clear();
  taken.gradients.clear();
  for (const std::size_t member : members) {
    taken.parameters.push_back(rest.parameters[member]);
    taken.gradients.push_back(rest.gradients[member]);
  }
  for (const ValueId id : taken.parameters) std::erase(rest.parameters, id);
  for (const ValueId id : taken.gradients) std::erase(rest.gradients, id);
  auto& operations = graph.operations();
  if (rest.parameters.empty()) {
    operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(index));
  } else {
    const std::string label = optimizer.label;
    operations[index] = make_optimizer(config, std::move(rest));
    operations[index]->label = label;
  }
  return make_optimizer(config, std::move(taken));
}

// Whether products can update all that the optimizer does.
bool products_update_all(const Graph& graph, const runtime::DeviceProfile& device) {
  const std::size_t optimizer = optimizer_of(graph);
  if (optimizer == kNoOperation) return false;
  std::size_t members = 0;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    if (const auto merge = find_merge(graph, i, device, true)) members += merge->members.size();
  }
  return members == as<OptimizerOperation>(graph, optimizer)->values().parameters.size();
}

bool fuse_weight_update(Graph& graph, std::size_t index, const runtime::DeviceProfile& device,
                        bool all) {
  const std::optional<Merge> merge = find_merge(graph, index, device, all);
  if (!merge) return false;
  const ValueId dy = merge->gemm->a(), x = merge->gemm->b();
  const ValueId bias_gradient = merge->bias_gradient();
  const std::string label = merge->gemm->label;
  auto merged = std::make_unique<GemmUpdate>(dy, x, bias_gradient,
                                             take_out(graph, merge->optimizer, merge->members));
  merged->label = label;
  // Behind `place`, and the gradient's own place is gone.
  auto& operations = graph.operations();
  operations.insert(operations.begin() + static_cast<std::ptrdiff_t>(merge->place) + 1,
                    std::move(merged));
  operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(index));
  return true;
}

}  // namespace

void fuse_weight_updates(Graph& graph, const runtime::DeviceProfile& device, bool whole) {
  const bool all = whole && products_update_all(graph, device);
  for (std::size_t i = 0; i < graph.operations().size();) {
    if (!fuse_weight_update(graph, i, device, all)) ++i;
  }
}

}  // namespace vktrain::nn
