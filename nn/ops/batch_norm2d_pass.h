// What the kernels of batch normalisation for [batch, C, H, W] share on the host's side, and those
// dispatches of nn/ops/batch_norm2d.h that differ where the output is there only as the maxima of
// its tiles of 2 x 2, [batch, C, H / 2, W / 2], rows of which have no padding.
#pragma once

#include <cstdint>
#include <string>

#include "nn/lowering.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/plane_walk.h"

namespace vktrain::nn::batch_norm2d {

// Mirrors shaders/batch_norm2d.glsl.
struct Normalisation {
  plane_walk::Planes planes;
  std::uint32_t mean_replica, scale_replica;
  float epsilon;
};

// One float a texel, for what kernels read with one entry per channel.
PlannedBinding read_floats(const Lowering& l, ValueId id);

Normalisation normalisation(const Lowering& l, const plane_walk::Planes& planes, ValueId mean,
                            ValueId scale, const BatchNormOptions& options);

// Mirrors the push constants of shaders/batch_norm2d_apply.comp and its pooled form, where x counts
// in pairs instead of vec4.
struct ApplyPush {
  Normalisation normalisation;
  std::uint32_t parameter_replica, x_replica, y_replica;
  float alpha;
};

// The same of shaders/batch_norm2d_backward.comp; x and dx count in pairs.
struct BackwardPush {
  Normalisation normalisation;
  std::uint32_t weight_replica, dweight_replica, dbias_replica;
  std::uint32_t dy_replica, x_replica, dx_replica;
  float per_value;
};

// What the forms of the forward operation have in common.
struct ApplyOperands {
  bool training;
  ValueId x, weight, bias, mean, scale, y;
  BatchNormEpilogue epilogue;
};

// Parts of the two sums over a channel: scratch memory of as many elements as `planes`, those of
// dy, have parts.
struct BackwardParts {
  std::uint32_t bias, weight;
};

// nn/ops/batch_norm2d_pooled.cpp. Throw std::logic_error where rows of the maxima have padding.
namespace pooled {
void apply(const ApplyOperands& o, Lowering& l, const BatchNormOptions& options,
           const std::string& label);
void backward_partial(const BatchNormBackward& norm, Lowering& l, const plane_walk::Planes& planes,
                      const BackwardParts& parts);
void input_gradient(const BatchNormBackward& norm, Lowering& l);
}  // namespace pooled

}  // namespace vktrain::nn::batch_norm2d
