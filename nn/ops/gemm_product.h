// The dispatch of a matrix product, without what becomes of its results: what operations that
// multiply matrices have in common.
#pragma once

#include <cstdint>
#include <optional>

#include "nn/lowering.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"
#include "nn/precision.h"

namespace vktrain::nn {

// Mirrors the push constants of shaders/gemm.glsl.
struct GemmPush {
  std::uint32_t m = 0, n = 0, k = 0;
  std::uint32_t a_stride = 0, b_stride = 0, c_stride = 0;
  std::uint32_t a_replica = 0, b_replica = 0, c_replica = 0;
  std::uint32_t bias_replica = 0, output_replica = 0, bias_gradient_replica = 0;
  std::uint32_t splits = 1, k_per_split = 0, split_stride = 0;
  float alpha = 0;
  std::uint32_t sum_a = 0;
  float a_scale = 1, a_unscale = 1;
  std::uint32_t table_stride = 0, hyperparameter_stride = 0, slot_stride = 0, bias_offset = 0;
  float byte_scale = 0, byte_shift = 0;
  std::uint32_t places_replica = 0;
};

// C = op(A) op(B).
struct GemmProduct {
  GemmForm form{};
  ValueId a = kNoValue;
  ValueId b = kNoValue;
  Precision precision = Precision::f32;
  // K; else kernels that do not, as far as the device's loops may be so long.
  bool may_split = true;
  // The kernel with the smallest tiles of its kind first, and no contest: it is compiled soonest.
  bool small_tiles = false;
  // x, A of nt or B of tn, is this batch, read in the data set: the caller binds its places to the
  // kernel's slot. Or x is stored for this operation alone. See take_batch.
  const GatheredBatch* gathered = nullptr;
  std::optional<PlannedBinding> stored_x = std::nullopt;
};

// Of A [a_rows, a_columns] and B.
GemmSizes gemm_sizes(GemmForm form, std::int64_t a_rows, std::int64_t a_columns,
                     std::int64_t b_rows, std::int64_t b_columns);
GemmSizes gemm_sizes(const Lowering& l, const GemmProduct& product);

// Asks which of the kernels for the product is taken.
GemmVariant choose_gemm_variant(Lowering& l, const GemmProduct& product);

// Asks whether a product whose x is a batch reads it in the data set: before the kernel is chosen,
// so that a driver that refuses this keeps its tiles.
bool wants_gathered(Lowering& l, const GemmProduct& product);

// x is this batch, which must outlive the product: it is read in the data set, where that is wanted
// and the kernel is one by shuffles, else stored before the product.
void take_batch(Lowering& l, const GatheredBatch& batch, bool wanted, const GemmVariant& variant,
                GemmProduct& product);

// Mixed precision: A is multiplied by this power of two before it is rounded, where it is a
// gradient.
float gemm_scale_of_a(GemmForm form, Precision precision, std::int64_t batch);

// The product by the kernel of `variant`, whose bindings 0 and 1 are A and B, and its push
// constants; what they say of C, of partial results and of an epilogue is left to the caller.
struct GemmDispatch {
  PlannedDispatch dispatch;  // without a label and push constants
  GemmPush push;
};
GemmDispatch gemm_dispatch(const Lowering& l, const GemmProduct& product,
                           const GemmVariant& variant);

}  // namespace vktrain::nn
