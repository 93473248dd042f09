#include "nn/ops/gemm_product.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "nn/tuning/single_operation.h"

namespace vktrain::nn {
namespace {

double flops_of(const GemmSizes& sizes) {
  return 2.0 * static_cast<double>(sizes.m * sizes.n) * static_cast<double>(sizes.k);
}

std::unique_ptr<SingleOperation> probe(GemmForm form, const GemmSizes& sizes, Precision precision,
                                       ProbeSize size) {
  if (size == ProbeSize::whole) return single_gemm({form, sizes.m, sizes.n, sizes.k, precision});
  constexpr std::int64_t kTile = 128;   // the largest
  constexpr std::int64_t kDepth = 256;  // more of K, so that a split one stays split
  return single_gemm({form, capped_size(sizes.m, kTile), capped_size(sizes.n, kTile),
                      capped_size(sizes.k, kDepth), precision});
}

// "gemm nt", "gemm nt mixed".
std::string family_of(GemmForm form, Precision precision) {
  return fmt::format("gemm {}{}", to_string(form), precision == Precision::mixed ? " mixed" : "");
}

bool fits_loops(const GemmVariant& variant, const runtime::DeviceProfile& device) {
  return within_loop_limit(variant.turns.of(variant.k_per_split), device);
}

}  // namespace

GemmSizes gemm_sizes(GemmForm form, std::int64_t a_rows, std::int64_t a_columns,
                     std::int64_t b_rows, std::int64_t b_columns) {
  switch (form) {
    case GemmForm::nt:
      return {a_rows, b_rows, a_columns};
    case GemmForm::nn:
      return {a_rows, b_columns, a_columns};
    case GemmForm::tn:
      return {a_columns, b_columns, a_rows};
  }
  return {};
}

GemmSizes gemm_sizes(const Lowering& l, const GemmProduct& product) {
  const Layout a = l.layout(product.a), b = l.layout(product.b);
  return gemm_sizes(product.form, a.rows, a.columns, b.rows, b.columns);
}

GemmVariant choose_gemm_variant(Lowering& l, const GemmProduct& product) {
  const GemmForm form = product.form;
  const Precision precision = product.precision;
  const GemmSizes sizes = gemm_sizes(l, product);
  std::vector<GemmVariant> variants = gemm_candidates(form, sizes, l.device(), precision);
  if (!product.may_split && variants.front().splits > 1) {
    // Without a question: the tuner knows the split kernels alone.
    const GemmVariant whole = unsplit(variants.front(), sizes);
    if (fits_loops(whole, l.device())) return whole;
  } else if (!product.may_split) {
    std::erase_if(variants, [](const auto& v) { return v.splits > 1 && !v.last_resort; });
  }
  VariantQuestion question = {.family = family_of(form, precision),
                              .shape = fmt::format("{}x{}x{}", sizes.m, sizes.n, sizes.k),
                              .candidates = {},
                              .flops = flops_of(sizes),
                              .probe = [form, sizes, precision](ProbeSize size) {
                                return probe(form, sizes, precision, size);
                              }};
  std::stable_partition(variants.begin(), variants.end(),
                        [](const auto& variant) { return !variant.last_resort; });
  for (const GemmVariant& variant : variants) {
    question.candidates.push_back(variant.name);
    question.last_resorts += variant.last_resort ? 1 : 0;
  }
  return variants[l.choose(std::move(question))];
}

float gemm_scale_of_a(GemmForm form, Precision precision, std::int64_t batch) {
  return precision == Precision::mixed && form != GemmForm::nt ? loss_scale(batch) : 1;
}

GemmDispatch gemm_dispatch(const Lowering& l, const GemmProduct& product,
                           const GemmVariant& variant) {
  const Layout a = l.layout(product.a), b = l.layout(product.b);
  const GemmSizes sizes = gemm_sizes(l, product);
  const float scale = gemm_scale_of_a(product.form, product.precision, l.batch());
  GemmDispatch result;
  PlannedDispatch& dispatch = result.dispatch;
  dispatch.shader = variant.shader;
  dispatch.constants = gemm_constants(variant, product.form);
  dispatch.constants[4] = product.precision == Precision::mixed ? 1 : 0;
  dispatch.bindings = {l.read(product.a), l.read(product.b)};
  dispatch.groups = {to_u32(divide_up(sizes.n, variant.tile_columns)),
                     to_u32(divide_up(sizes.m, variant.tile_rows)), variant.splits};
  if (variant.rows_first) std::swap(dispatch.groups[0], dispatch.groups[1]);
  dispatch.turns = variant.turns.of(variant.k_per_split);
  dispatch.flops = flops_of(sizes);
  dispatch.bytes = bytes_of(a.size() + b.size());
  result.push = {.m = to_u32(sizes.m),
                 .n = to_u32(sizes.n),
                 .k = to_u32(sizes.k),
                 .a_stride = to_u32(a.row_stride / 4),
                 .b_stride = to_u32(b.row_stride / 4),
                 .a_replica = l.replica_stride(product.a) / 4,
                 .b_replica = l.replica_stride(product.b) / 4,
                 .splits = variant.splits,
                 .k_per_split = to_u32(variant.k_per_split),
                 .a_scale = scale,
                 .a_unscale = 1 / scale};
  return result;
}

}  // namespace vktrain::nn
