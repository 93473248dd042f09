// Sums that are split over workgroups: every split writes a partial result, a second pass adds them
// in fixed order. For weight gradients, with a bias gradient behind each partial result.
#pragma once

#include <cstdint>
#include <string>

#include "nn/lowering.h"
#include "nn/ops/activation.h"

namespace vktrain::nn {

// Applied to the sum, not to its parts, see GemmEpilogue; absent ones are kNoValue or
// Activation::none.
struct SplitEpilogue {
  ValueId bias = kNoValue;
  ActivationSpec activation;
  ActivationSpec gradient_activation;
  ValueId gradient_output = kNoValue;
};

// Memory of the partial results: per replica [splits][result, then the vector].
struct SplitSum {
  ValueId result = kNoValue;
  ValueId vector = kNoValue;  // kNoValue: none
  std::uint32_t splits = 1;
  std::uint32_t scratch = 0;         // its number; only with more than one split
  std::int64_t vector_elements = 0;  // whole vec4; 0 without a vector
  std::int64_t split_elements = 0;   // between two splits
  std::int64_t replica_elements = 0;

  // Where the first pass writes: the scratch memory, or the values themselves without splits.
  PlannedBinding result_binding(const Lowering& l) const;
  PlannedBinding vector_binding(const Lowering& l) const;
  std::uint32_t result_replica(const Lowering& l) const;  // elements
  std::uint32_t vector_replica(const Lowering& l) const;
};

SplitSum make_split_sum(Lowering& l, ValueId result, ValueId vector, std::uint32_t splits);

// Adds the second pass; nothing without splits.
void lower_split_sum(Lowering& l, const std::string& label, const SplitSum& sum,
                     const SplitEpilogue& epilogue = {});

}  // namespace vktrain::nn
