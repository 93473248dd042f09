// The last linear layer of a classifier with few classes, its softmax cross-entropy and what goes
// backwards from there, in one dispatch instead of three: the logits are never stored. Fusions make
// it (nn/fusion_linear_cross_entropy.h) from a GEMM, a SoftmaxCrossEntropy and a GEMM, which do the
// work where the driver refuses the kernel.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/operation.h"
#include "nn/ops/activation.h"
#include "nn/ops/softmax_cross_entropy.h"

namespace vktrain::nn {

struct LinearCrossEntropyValues {
  ValueId x = kNoValue;       // [batch, in]
  ValueId weight = kNoValue;  // [classes, in]
  ValueId bias = kNoValue;    // [classes], or absent
  ValueId labels = kNoValue;  // [batch] u32 below classes
  CrossEntropy result;        // of logits = x W^T + b
  // [batch, classes]: memory for them where a driver needs the three operations, else not written.
  // Absent: there is no such way out.
  ValueId logits = kNoValue;
  ValueId gradient = kNoValue;  // [batch, classes]: of the logits, (softmax - target) / batch
  // [batch, in], or absent: gradient W, times the derivative of an activation whose output x is.
  ValueId data_gradient = kNoValue;
  ActivationSpec gradient_activation;
};

class LinearCrossEntropy : public Operation {
 public:
  // What an invocation keeps in registers: the logits of its rows.
  static constexpr std::int64_t kMostClasses = 16;
  // Beyond, fusions leave the three apart: an invocation walks over all inputs of a row alone.
  static constexpr std::int64_t kMostInputs = 512;

  explicit LinearCrossEntropy(const LinearCrossEntropyValues& values, double label_smoothing = 0);

  std::string_view kind() const override { return "linear_cross_entropy"; }
  // Throws std::invalid_argument for more than kMostClasses and for another precision than f32.
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  const LinearCrossEntropyValues& values() const { return values_; }
  double label_smoothing() const { return label_smoothing_; }

 private:
  bool wants_merged(Lowering& lowering) const;
  void lower_merged(Lowering& lowering) const;
  void lower_apart(Lowering& lowering) const;

  LinearCrossEntropyValues values_;
  double label_smoothing_;
};

}  // namespace vktrain::nn
