#include "nn/differentiate.h"

#include <fmt/format.h>

#include "nn/operation.h"
#include "nn/ops/activation.h"
#include "nn/ops/add.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

bool contains(const std::vector<ValueId>& ids, ValueId id) {
  for (ValueId other : ids) {
    if (other == id) return true;
  }
  return false;
}

// Which operations the loss depends on.
std::vector<bool> active_operations(const Graph& graph, ValueId loss) {
  const auto& operations = graph.operations();
  std::vector<bool> wanted(graph.value_count(), false), active(operations.size(), false);
  wanted.at(loss) = true;
  for (std::size_t i = operations.size(); i-- > 0;) {
    for (ValueId output : operations[i]->outputs()) {
      if (output != kNoValue && wanted[output]) active[i] = true;
    }
    if (!active[i]) continue;
    for (ValueId input : operations[i]->inputs()) {
      if (input != kNoValue) wanted[input] = true;
    }
  }
  return active;
}

}  // namespace

Differentiator::Differentiator(Graph& graph)
    : graph_(&graph),
      needs_(graph.value_count(), false),
      uses_(graph.value_count(), 0),
      contributions_(graph.value_count()) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    needs_[id] = graph.value(id).kind == ValueKind::parameter;
  }
  for (const auto& operation : graph.operations()) {
    bool any = false;
    for (ValueId input : operation->inputs()) any = any || (input != kNoValue && needs_[input]);
    for (ValueId output : operation->outputs()) {
      if (any && output != kNoValue && !contains(operation->inputs(), output)) {
        needs_[output] = graph.value(output).kind == ValueKind::activation;
      }
    }
  }
}

ValueId Differentiator::gradient_of(ValueId output) const {
  if (output == kNoValue || output >= contributions_.size()) return kNoValue;
  const auto& parts = contributions_[output];
  return parts.empty() ? kNoValue : parts.back();
}

bool Differentiator::needs_gradient(ValueId input) const {
  return input != kNoValue && input < needs_.size() && needs_[input];
}

ValueId Differentiator::new_gradient(ValueId input) {
  const Value& value = graph_->value(input);
  const bool direct = value.kind == ValueKind::parameter && uses_.at(input) == 1;
  const ValueId gradient =
      direct ? graph_->gradient_slot(input)
             : graph_->add_activation(value.name + ".gradient", value.shape, value.dtype);
  contributions_.at(input).push_back(gradient);
  return gradient;
}

void Differentiator::pass_gradient(ValueId input, ValueId gradient) {
  if (needs_gradient(input)) contributions_.at(input).push_back(gradient);
}

// Sums the contributions to a value into one; into `target` where it is given.
void Differentiator::sum_contributions(ValueId id, ValueId target) {
  auto& parts = contributions_[id];
  while (parts.size() > 1) {
    const ValueId left = parts[0], right = parts[1];
    const bool last = parts.size() == 2;
    const Value value = graph_->value(id);  // a copy: adding values moves them
    const ValueId sum = last && target != kNoValue
                            ? target
                            : graph_->add_activation(value.name + ".gradient", value.shape);
    graph_->add(std::make_unique<Add>(left, right, sum)).label = value.name;
    parts.erase(parts.begin(), parts.begin() + 2);
    parts.insert(parts.begin(), sum);
  }
}

// Sums what reached a parameter into its slot; a single gradient that was passed on, or written
// elsewhere because the parameter has more uses, is copied.
void Differentiator::fill_gradient_slot(ValueId parameter) {
  const ValueId slot = graph_->gradient_slot(parameter);
  sum_contributions(parameter, slot);
  const ValueId gradient = contributions_[parameter].front();
  if (gradient == slot) return;
  graph_->add(std::make_unique<ActivationForward>(gradient, slot, ActivationSpec{})).label =
      graph_->value(parameter).name;
}

void differentiate(Graph& graph, ValueId loss) {
  const std::vector<bool> active = active_operations(graph, loss);
  Differentiator differentiator(graph);
  for (std::size_t i = 0; i < active.size(); ++i) {
    if (!active[i]) continue;
    for (ValueId input : graph.operations()[i]->inputs()) {
      if (input != kNoValue) ++differentiator.uses_[input];
    }
  }
  const ValueId forward_values = static_cast<ValueId>(graph.value_count());
  for (std::size_t i = active.size(); i-- > 0;) {
    if (!active[i]) continue;
    Operation& operation = *graph.operations()[i];
    bool reached = contains(operation.outputs(), loss);
    for (ValueId output : operation.outputs()) {
      if (output == kNoValue) continue;
      differentiator.sum_contributions(output, kNoValue);
      reached = reached || differentiator.gradient_of(output) != kNoValue;
    }
    if (reached) operation.differentiate(differentiator);
  }
  for (ValueId id = 0; id < forward_values; ++id) {
    if (graph.value(id).kind != ValueKind::parameter) continue;
    if (differentiator.contributions_[id].empty()) {
      throw Error(fmt::format("parameter {} has no influence on the loss; remove its layer",
                              graph.value(id).name));
    }
    differentiator.fill_gradient_slot(id);
  }
}

}  // namespace vktrain::nn
