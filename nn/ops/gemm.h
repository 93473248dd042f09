// Matrix products in the three forms that linear layers need, with optional epilogues that fusions
// switch on. Layouts as in nn/tensor.h; a matrix of more than two dimensions counts as
// [rows, everything else].
#pragma once

#include <optional>
#include <string_view>

#include "nn/operation.h"
#include "nn/ops/activation.h"
#include "nn/ops/gather_batch.h"

namespace vktrain::nn {

struct GemmProduct;
struct GemmVariant;
struct SplitEpilogue;
struct SplitSum;

enum class GemmForm {
  nt,  // C[M, N] = A[M, K] B[N, K]^T
  nn,  // C[M, N] = A[M, K] B[K, N]
  tn,  // C[M, N] = A[K, M]^T B[K, N]
};
std::string_view to_string(GemmForm form);

// Merged into the product by fusions; absent ones are kNoValue or Activation::none.
struct GemmEpilogue {
  ValueId bias = kNoValue;  // [N], added to every row
  ActivationSpec activation;
  // C is multiplied by the derivative of this activation, taken from its output [M, N], or from its
  // input where derivative_needs_input.
  ActivationSpec gradient_activation;
  ValueId gradient_output = kNoValue;
  ValueId column_sum = kNoValue;  // tn: output [M], sum of A over K (the bias gradient)
};

class Gemm : public Operation {
 public:
  Gemm(GemmForm form, ValueId a, ValueId b, ValueId c, const GemmEpilogue& epilogue = {});

  std::string_view kind() const override { return "gemm"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  GemmForm form() const { return form_; }
  ValueId a() const { return inputs_[0]; }
  ValueId b() const { return inputs_[1]; }
  ValueId c() const { return outputs_[0]; }
  const GemmEpilogue& epilogue() const { return epilogue_; }
  // x, A of nt or B of tn, is this batch, which the product may read in the data set. In nt the
  // padding of B's rows must be 0, as that of a parameter's is.
  void gather(const GatheredBatch& batch);

  bool may_split = true, small_tiles = false;  // see nn/ops/gemm_product.h

 private:
  void lower_product(Lowering& lowering, const GemmProduct& operands, const GemmVariant& variant,
                     const SplitSum& sum, const SplitEpilogue& epilogue) const;

  GemmForm form_;
  GemmEpilogue epilogue_;
  std::optional<GatheredBatch> gathered_;
};

// y[batch, out] = x[batch, in] W[out, in]^T. Throws Error when the shapes do not fit.
ValueId linear_product(Graph& graph, ValueId x, ValueId weight, std::string_view label);

}  // namespace vktrain::nn
