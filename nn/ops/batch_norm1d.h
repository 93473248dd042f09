// Dispatches of batch normalisation for [batch, C]; nn/ops/batch_norm.h has the operations. A
// workgroup walks down all rows of its columns.
#pragma once

#include "nn/lowering.h"
#include "nn/ops/batch_norm.h"

namespace vktrain::nn::batch_norm1d {

// Whether x is a matrix without more rows than loops may have turns. The kernels of images
// (nn/ops/batch_norm2d.h) take every x, a matrix as planes of one value.
bool supports(const BatchNormTrain& norm, const Lowering& lowering);
bool supports(const BatchNormEval& norm, const Lowering& lowering);
bool supports(const BatchNormBackward& norm, const Lowering& lowering);

void lower(const BatchNormTrain& norm, Lowering& lowering);
void lower(const BatchNormEval& norm, Lowering& lowering);
void lower(const BatchNormBackward& norm, Lowering& lowering);

}  // namespace vktrain::nn::batch_norm1d
