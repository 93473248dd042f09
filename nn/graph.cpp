#include "nn/graph.h"

#include <fmt/format.h>

#include "nn/differentiate.h"
#include "nn/operation.h"
#include "runtime/error.h"

namespace vktrain::nn {

void Operation::differentiate(Differentiator&) const {
  throw Error(fmt::format(
      "[{}] has no derivative; it must not stand between a parameter and the loss", kind()));
}

Graph::Graph(ParameterSet& parameters) : parameters_(&parameters) {}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;

ValueId Graph::add_value(Value value) {
  values_.push_back(std::move(value));
  kept_.push_back(false);
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Graph::add_activation(std::string name, Shape shape, DType dtype) {
  return add_value({.name = std::move(name), .shape = std::move(shape), .dtype = dtype});
}

ValueId Graph::add_external(std::string name, Shape shape, DType dtype, bool shared) {
  return add_value({.name = std::move(name),
                    .shape = std::move(shape),
                    .dtype = dtype,
                    .kind = ValueKind::external,
                    .shared = shared});
}

ValueId Graph::add_view(std::string name, Shape shape, ValueId source) {
  const DType dtype = values_.at(source).dtype;
  return add_value({.name = std::move(name),
                    .shape = std::move(shape),
                    .dtype = dtype,
                    .view_of = root(source)});
}

ValueId Graph::root(ValueId id) const {
  const ValueId source = values_.at(id).view_of;
  return source == kNoValue ? id : source;
}

ValueId Graph::add_parameter(const Parameter& parameter) {
  const std::size_t index = parameters_->declare(parameter);
  const ValueKind kind = parameter.trainable ? ValueKind::parameter : ValueKind::state;
  for (ValueId id = 0; id < values_.size(); ++id) {
    if (values_[id].kind == kind && values_[id].parameter == index) return id;
  }
  return add_value(
      {.name = parameter.name, .shape = parameter.shape, .kind = kind, .parameter = index});
}

ValueId Graph::gradient_slot(ValueId parameter) {
  const Value source = values_.at(parameter);
  for (ValueId id = 0; id < values_.size(); ++id) {
    if (values_[id].kind == ValueKind::gradient && values_[id].parameter == source.parameter) {
      return id;
    }
  }
  return add_value({.name = source.name + ".gradient",
                    .shape = source.shape,
                    .kind = ValueKind::gradient,
                    .parameter = source.parameter});
}

Operation& Graph::add(std::unique_ptr<Operation> operation) {
  operations_.push_back(std::move(operation));
  return *operations_.back();
}

void Graph::keep(ValueId id) { kept_.at(id) = true; }
bool Graph::kept(ValueId id) const { return kept_.at(id); }

}  // namespace vktrain::nn
