// sum[c] = sum over n, h, w of x[n, c, h, w]: the gradient of a channel's bias. Partial sums per
// column and chunk of rows, then one workgroup a channel; the order depends on shape and device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nn/operation.h"
#include "nn/ops/plane_walk.h"

namespace vktrain::nn {

// x [batch, C, H, W], sum [C].
class ChannelSum : public Operation {
 public:
  ChannelSum(ValueId x, ValueId sum) : Operation({x}, {sum}) {}

  std::string_view kind() const override { return "channel_sum"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId sum() const { return outputs_[0]; }
};

// One part per column and chunk in a scratch memory of planes.part_size() elements, and the value
// [C] that they sum to.
struct ChannelParts {
  std::uint32_t parts;
  ValueId sum;
};

// The second pass, for others that leave such parts, of one sum or of two at once.
void sum_channel_parts(Lowering& lowering, const plane_walk::Planes& planes,
                       const ChannelParts& first, std::string label,
                       const std::optional<ChannelParts>& second = std::nullopt);

}  // namespace vktrain::nn
