// A graph of values and operations. Layers add operations; `differentiate` adds the backward ones;
// fusions rewrite them; `Plan` gives them memory and dispatches. Operations stand in an order in
// which they can run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/parameters.h"
#include "nn/tensor.h"

namespace vktrain::nn {

using ValueId = std::uint32_t;
inline constexpr ValueId kNoValue = ~ValueId{0};

enum class ValueKind {
  activation,  // lives within one run of the graph; the plan places it
  parameter,   // in the parameter range
  gradient,    // of a parameter, in the gradient range
  state,       // running statistics, in the state range
  external,    // bound by the owner of the executable: data set, indices, labels, metrics, ...
};

struct Value {
  std::string name;
  Shape shape;  // may hold kBatch
  DType dtype = DType::f32;
  ValueKind kind = ValueKind::activation;
  std::size_t parameter = 0;   // index in the ParameterSet for parameter, gradient and state
  bool shared = false;         // external only: one copy for all replicas
  ValueId view_of = kNoValue;  // the same memory under another shape; never a view itself
};

class Operation;

class Graph {
 public:
  explicit Graph(ParameterSet& parameters);
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  ParameterSet& parameters() { return *parameters_; }
  const ParameterSet& parameters() const { return *parameters_; }

  ValueId add_activation(std::string name, Shape shape, DType dtype = DType::f32);
  ValueId add_external(std::string name, Shape shape, DType dtype, bool shared);
  // Another shape for the memory of `source`; both have the same first dimension and as many
  // elements in a row. Only nn/ops/reshape.h adds views.
  ValueId add_view(std::string name, Shape shape, ValueId source);
  // The value that owns the memory: `id` itself unless it is a view.
  ValueId root(ValueId id) const;
  // The value of a parameter or state (declared if new); one value per graph and parameter.
  ValueId add_parameter(const Parameter& parameter);
  // The value of a parameter's gradient slot; one per graph and parameter.
  ValueId gradient_slot(ValueId parameter);

  const Value& value(ValueId id) const { return values_.at(id); }
  std::size_t value_count() const { return values_.size(); }

  Operation& add(std::unique_ptr<Operation> operation);
  // For the rewrites: owns the order of the operations.
  std::vector<std::unique_ptr<Operation>>& operations() { return operations_; }
  const std::vector<std::unique_ptr<Operation>>& operations() const { return operations_; }

  // Values that somebody outside reads: never fused away, never overwritten by reuse of memory.
  void keep(ValueId id);
  bool kept(ValueId id) const;

 private:
  ValueId add_value(Value value);

  ParameterSet* parameters_;
  std::vector<Value> values_;
  std::vector<std::unique_ptr<Operation>> operations_;
  std::vector<bool> kept_;
};

}  // namespace vktrain::nn
