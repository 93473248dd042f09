// Values of a graph on the CPU, in double and without padding, and the executor that runs every
// operation's reference over them. The slow twin that all kernels are compared with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nn/graph.h"

namespace vktrain::nn {

class ReferenceMemory {
 public:
  ReferenceMemory(const Graph& graph, std::int64_t batch);

  const Graph& graph() const { return *graph_; }
  std::int64_t batch() const { return batch_; }
  Shape shape(ValueId id) const;  // resolved

  // Row-major, without padding. Integers are held exactly as doubles.
  std::vector<double>& operator[](ValueId id) { return values_.at(id); }
  const std::vector<double>& operator[](ValueId id) const { return values_.at(id); }
  // Optional operand: empty for kNoValue.
  std::span<const double> optional(ValueId id) const;

  // State kept by optimizers: [slot][parameter index].
  std::vector<double>& optimizer_state(std::uint32_t slot, std::size_t parameter);

 private:
  const Graph* graph_;
  std::int64_t batch_;
  std::vector<std::vector<double>> values_;
  std::vector<std::vector<std::vector<double>>> optimizer_state_;
};

// Runs all operations in order.
void run_reference(const Graph& graph, ReferenceMemory& memory);

}  // namespace vktrain::nn
