// A linear layer's weight gradient and the update of its weights in one kernel, so that the
// gradient is never stored: on CPU drivers stores cost more than products. Where the tuner took
// another kernel than those that can, the product and the update are dispatches of their own.
#pragma once

#include <memory>

#include "nn/operation.h"
#include "nn/optimizers/optimizer_operation.h"
#include "runtime/device_profile.h"

namespace vktrain::nn {

class GemmUpdate final : public Operation {
 public:
  // dW[M, N] = dy[batch, M]^T x[batch, N] for the one parameter W that `update` has, without
  // penalties. What dW's slot then holds is undefined. `bias_gradient`: output [M], the sums of
  // dy's columns; kNoValue: none.
  GemmUpdate(ValueId dy, ValueId x, ValueId bias_gradient,
             std::unique_ptr<OptimizerOperation> update);

  std::string_view kind() const override { return "gemm_update"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId dy() const { return inputs_[0]; }
  ValueId x() const { return inputs_[1]; }
  ValueId weight() const { return outputs_[0]; }
  ValueId bias_gradient() const { return outputs_[1]; }

  // Whether kernels for `device` update as `optimizer` does.
  static bool supports(const OptimizerOperation& optimizer, const runtime::DeviceProfile& device);

 private:
  ValueId gradient() const { return update_->values().gradients[0]; }
  std::unique_ptr<Operation> product() const;

  std::unique_ptr<OptimizerOperation> update_;
};

}  // namespace vktrain::nn
