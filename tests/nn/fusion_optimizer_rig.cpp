#include "tests/nn/fusion_optimizer_rig.h"

#include <algorithm>

#include "nn/optimizers/gemm_update.h"
#include "nn/optimizers/optimizer_operation.h"
#include "nn/rewrite.h"

namespace vktrain::testing {

using namespace nn;

namespace {

Names names(const Graph& graph, const std::vector<ValueId>& values) {
  Names result;
  for (const ValueId id : values) result.push_back(graph.value(id).name);
  return result;
}

}  // namespace

runtime::DeviceProfile shuffling_device() {
  runtime::DeviceProfile profile;
  profile.kind = runtime::DeviceKind::cpu;
  profile.subgroup_size = 8;
  profile.subgroup_shuffle = true;
  profile.max_storage_range = 1 << 27;
  profile.max_allocation = 1 << 30;
  profile.max_texel_elements = 1 << 27;
  profile.texel_alignment = 16;
  return profile;
}

Names kinds(const Graph& graph) {
  Names result;
  for (const auto& operation : graph.operations()) result.emplace_back(operation->kind());
  return result;
}

std::size_t count(const Graph& graph, std::string_view kind) {
  return static_cast<std::size_t>(std::ranges::count(kinds(graph), kind));
}

Names merged(const Graph& graph) {
  std::vector<ValueId> weights;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    if (const auto* update = as<GemmUpdate>(graph, i)) weights.push_back(update->weight());
  }
  return names(graph, weights);
}

Names merged_biases(const Graph& graph) {
  std::vector<ValueId> biases;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const auto* update = as<GemmUpdate>(graph, i);
    if (update && update->updates_bias()) biases.push_back(update->outputs().at(2));
  }
  return names(graph, biases);
}

Names left(const Graph& graph) {
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const auto* optimizer = as<OptimizerOperation>(graph, i);
    if (optimizer) return names(graph, optimizer->values().parameters);
  }
  return {};
}

FusionCase::FusionCase() {
  const auto linear = [](std::int64_t out) {
    return LayerSpec{.type = LayerType::linear, .out = out};
  };
  const LayerSpec relu = {.type = LayerType::relu};
  experiment.model.layers = {
      {.type = LayerType::flatten}, linear(32), relu, linear(512), relu, linear(10)};
}

FusionCase normalised_case() {
  FusionCase c;
  c.experiment.model.layers[4] = {.type = LayerType::batch_norm};
  return c;
}

const Graph& OptimizerFusion::graph_of(const FusionCase& c) {
  parameters_ = {};
  step_ = std::make_unique<StepGraph>(build_step_graph(
      parameters_, c.experiment, c.experiment.optimizer, 100, 64, FusionOptions::none()));
  if (c.before) c.before(step_->graph);
  fuse(step_->graph, c.options, c.device ? &*c.device : nullptr);
  return step_->graph;
}

ValueId OptimizerFusion::value(const std::string& name, ValueKind kind) const {
  const Graph& graph = step_->graph;
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (value.kind == kind && graph.parameters()[value.parameter].name == name) return id;
  }
  return kNoValue;
}

std::size_t OptimizerFusion::update_of(ValueId weight) const {
  const auto& operations = step_->graph.operations();
  std::size_t i = 0;
  while (operations.at(i)->kind() != "gemm_update" || operations[i]->outputs()[0] != weight) ++i;
  return i;
}

bool OptimizerFusion::reads_from(std::size_t first, ValueId id) const {
  const auto& operations = step_->graph.operations();
  return std::any_of(
      operations.begin() + static_cast<std::ptrdiff_t>(first), operations.end(),
      [id](const auto& operation) { return std::ranges::count(operation->inputs(), id) > 0; });
}

ValueId value_of(const Graph& graph, const std::string& name) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.value(id).name == name) return id;
  }
  return kNoValue;
}

}  // namespace vktrain::testing
