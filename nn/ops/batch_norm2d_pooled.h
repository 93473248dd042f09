// Dispatches of batch normalisation for [batch, C, H, W] whose output is there only as the maxima
// of its tiles of 2 x 2 [batch, C, H / 2, W / 2], rows of which have no padding; and what they
// share with nn/ops/batch_norm2d.cpp.
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

Normalisation normalisation(const Lowering& l, const plane_walk::Planes& planes, ValueId mean,
                            ValueId scale, const BatchNormOptions& options);

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

namespace pooled {
void apply(const ApplyOperands& o, Lowering& l, const BatchNormOptions& options,
           const std::string& label);
void backward_partial(const BatchNormBackward& norm, Lowering& l, const plane_walk::Planes& planes,
                      const BackwardParts& parts);
void input_gradient(const BatchNormBackward& norm, Lowering& l);
}  // namespace pooled

}  // namespace vktrain::nn::batch_norm2d
