// A linear layer's weight gradient and the update of its weights in one kernel, so that the
// gradient is never stored: on CPU drivers stores cost more than products. With the bias, nothing
// of the layer is left to another dispatch. The product and the update are dispatches of their own
// where the tuner took another kernel than those that can, where the driver refuses theirs, and
// where the device cannot bind the slots of state of all replicas at once: the only choice of a
// kernel that depends on the number of replicas.
#pragma once

#include <memory>
#include <optional>

#include "nn/operation.h"
#include "nn/ops/gather_batch.h"
#include "nn/optimizers/optimizer_operation.h"
#include "runtime/device_profile.h"

namespace vktrain::nn {

class Gemm;
struct GemmProduct;
struct GemmVariant;

class GemmUpdate final : public Operation {
 public:
  // The product's K, up to which it is not split: splits would keep more cores busy, but need two
  // dispatches more, of which each wakes the driver's threads.
  static constexpr std::int64_t kMostWholeBatch = 1024;
  // Fewer weights get the smallest tiles: a merged kernel has the update's code for each vec4 of
  // its tile, and larger ones take drivers seconds to compile. They are merged only where all are
  // (nn/fusion_optimizer.h).
  static constexpr std::int64_t kManyWeights = 16384;

  // dW[M, N] = dy[batch, M]^T x[batch, N] for the parameter W that `update` has, alone or with its
  // bias [M] behind it, without penalties; else throws std::invalid_argument. What dW's slot then
  // holds is undefined, and with a bias that of `bias_gradient`, the sums of dy's columns, too;
  // without one they are an output, or kNoValue: none.
  GemmUpdate(ValueId dy, ValueId x, ValueId bias_gradient,
             std::unique_ptr<OptimizerOperation> update);

  std::string_view kind() const override { return "gemm_update"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId dy() const { return inputs_[0]; }
  ValueId x() const { return inputs_[1]; }
  ValueId weight() const { return outputs_[0]; }
  ValueId bias_gradient() const { return outputs_[1]; }
  // The product may read x, this batch, in the data set. Not where the kernel stores the gradient
  // of a bias, whose slot it takes: see can_gather.
  void gather(const GatheredBatch& batch);
  bool can_gather() const { return updates_bias() || bias_gradient() == kNoValue; }
  bool updates_bias() const { return update_->values().parameters.size() > 1; }

  // Whether kernels for `device` update as `optimizer` does, at least for one replica.
  static bool supports(const OptimizerOperation& optimizer, const ParameterSet& parameters,
                       const runtime::DeviceProfile& device);

 private:
  ValueId gradient() const { return update_->values().gradients[0]; }
  std::unique_ptr<Gemm> product() const;
  RangePart part(const Lowering& lowering) const;
  std::uint32_t bias_offset(const Lowering& lowering) const;  // in vec4; 0: no bias
  void lower_merged(Lowering& lowering, const GemmProduct& operands,
                    const GemmVariant& variant) const;

  std::unique_ptr<OptimizerOperation> update_;
  std::optional<GatheredBatch> gathered_;
};

}  // namespace vktrain::nn
