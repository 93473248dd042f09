// Dispatches of batch normalisation for [batch, C, H, W]; nn/ops/batch_norm.h has the operations.
// The statistics are merged from partial ones per column and chunk of rows, so that few channels
// with many values keep the whole device busy.
#pragma once

#include "nn/lowering.h"
#include "nn/ops/batch_norm.h"

namespace vktrain::nn::batch_norm2d {

void lower(const BatchNormTrain& norm, Lowering& lowering);
void lower(const BatchNormEval& norm, Lowering& lowering);
void lower(const BatchNormBackward& norm, Lowering& lowering);

}  // namespace vktrain::nn::batch_norm2d
