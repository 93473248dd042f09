// Graphs of one memory-bound operation, for benchmarks: values of [size / 256, 256].
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "nn/ops/step_state.h"
#include "nn/tuning/single_operation.h"

namespace vktrain::nn {

enum class Elementwise {
  add,
  relu,
  relu_backward,
  bias_add,
  batch_norm,
  batch_norm_backward,
  dropout,  // of half of the elements
  adam
};
std::vector<Elementwise> elementwise_operations();
std::string_view to_string(Elementwise kind);  // "batch norm backward"

struct ElementwiseOperation {
  SingleOperation single;  // its flops and bytes are 0: the plan's dispatches count theirs
  StepInputs step;         // of dropout and adam
  std::uint32_t optimizer_slots = 0;
};

// `size` elements, rounded up to a multiple of 256. Throws Error when it is below 1.
std::unique_ptr<ElementwiseOperation> elementwise_operation(Elementwise kind, std::int64_t size);

// Writes the numbers of the step that the operation needs.
void prepare_step(const ElementwiseOperation& operation, Executable& executable);

}  // namespace vktrain::nn
