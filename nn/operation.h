// One operation of a graph: shape rules in its constructor function, derivative, kernels and a
// double-precision reference, all in nn/ops/NAME.{h,cpp}.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/graph.h"
#include "nn/precision.h"

namespace vktrain::nn {

class Differentiator;
class Lowering;
class ReferenceMemory;

class Operation {
 public:
  Operation(std::vector<ValueId> inputs, std::vector<ValueId> outputs)
      : inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  virtual std::string_view kind() const = 0;  // "gemm"
  // Adds the operations that turn gradients of the outputs into gradients of the inputs. The
  // default throws: the operation has no derivative (backward operations, metrics).
  virtual void differentiate(Differentiator& differentiator) const;
  // Adds the dispatches.
  virtual void lower(Lowering& lowering) const = 0;
  // Computes the outputs in double on the CPU (see nn/reference/).
  virtual void reference(ReferenceMemory& memory) const = 0;

  // kNoValue stands for an absent optional operand. A value that is updated in place is listed in
  // both.
  const std::vector<ValueId>& inputs() const { return inputs_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }

  std::string label;                     // layer's name, for the profiler: "1"
  Precision precision = Precision::f32;  // read by matrix products and convolutions

 protected:
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
};

}  // namespace vktrain::nn
