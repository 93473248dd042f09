// What rewrites of a graph (nn/fusion.h) have in common: finding operations that can be merged, and
// merging them.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "nn/graph.h"
#include "nn/operation.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/gemm.h"

namespace vktrain::nn {

inline constexpr std::size_t kNoOperation = ~std::size_t{0};

// The operation at `index` as T, or null.
template <class T>
const T* as(const Graph& graph, std::size_t index) {
  return dynamic_cast<const T*>(graph.operations()[index].get());
}

// The operation that makes `value`, when `consumer` alone reads it and nobody outside does, else
// kNoOperation: then the two can be merged and the value disappears.
std::size_t sole_producer(const Graph& graph, ValueId value, std::size_t consumer);

// Puts `merged` in the place of `kept_index` and removes `removed_index`. Where a producer and its
// only consumer merge, the consumer's place is right, where all operands of both are there; where
// the consumer adds none, the producer's is, too.
void merge(Graph& graph, std::size_t kept_index, std::size_t removed_index,
           std::unique_ptr<Operation> merged, std::string label);

// At most a bias: room for an activation or a derivative.
bool is_plain(const GemmEpilogue& epilogue);
// Room for an activation.
bool is_plain(const BatchNormEpilogue& epilogue);

// A GEMM or a data gradient whose result, now `result`, is multiplied by the derivative of
// `activation`, taken from `operand` of the same shape; null where `product` is another operation
// or has no room for it.
std::unique_ptr<Operation> with_derivative(const Graph& graph, const Operation& product,
                                           ValueId result, const ActivationSpec& activation,
                                           ValueId operand);

}  // namespace vktrain::nn
