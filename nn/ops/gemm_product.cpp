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

std::unique_ptr<SingleOperation> probe(const GemmCase& c, ProbeSize size) {
  if (size == ProbeSize::whole) return single_gemm(c);
  constexpr std::int64_t kTile = 128;   // the largest
  constexpr std::int64_t kDepth = 256;  // more of K, so that a split one stays split
  GemmCase capped = c;
  capped.m = capped_size(c.m, kTile);
  capped.n = capped_size(c.n, kTile);
  capped.k = capped_size(c.k, kDepth);
  return single_gemm(capped);
}

std::string shape_of(const GemmSizes& sizes) {
  return fmt::format("{}x{}x{}", sizes.m, sizes.n, sizes.k);
}

// "gemm nt", "gemm nt mixed", "gemm tn whole", "gemm tn whole small".
std::string family_of(const GemmProduct& product) {
  return fmt::format("gemm {}{}{}{}", to_string(product.form),
                     product.precision == Precision::mixed ? " mixed" : "",
                     product.may_split ? "" : " whole", product.small_tiles ? " small" : "");
}

// Kernels with K in one piece in the place of those that split it.
void leave_whole(std::vector<GemmVariant>& variants, const GemmSizes& sizes,
                 const runtime::DeviceProfile& device) {
  for (GemmVariant& variant : variants) {
    GemmVariant whole = unsplit(variant, sizes);
    if (within_loop_limit(whole.turns.of(whole.k_per_split), device)) variant = std::move(whole);
  }
}

void prefer_small_tiles(std::vector<GemmVariant>& variants) {
  const auto kind = variants.front().shader;
  const auto smallest = std::ranges::min_element(variants, {}, [&](const GemmVariant& variant) {
    return std::pair(variant.shader != kind, variant.tile_rows * variant.tile_columns);
  });
  std::rotate(variants.begin(), smallest, smallest + 1);
  for (GemmVariant& variant : variants) variant.last_resort = &variant != &variants.front();
}

std::size_t slot_of_x(GemmForm form) { return form == GemmForm::nt ? 0 : 1; }

void gather_x(const Lowering& l, const GemmProduct& product, GemmDispatch& result) {
  const GatheredBatch& batch = *product.gathered;
  result.dispatch.shader += "_gathered";
  result.dispatch.bindings[slot_of_x(product.form)] =
      l.read(batch.images).as_texels(runtime::TexelFormat::rgba8unorm);
  constexpr double kSavedBytes = 3;  // of the 4 of a float
  result.dispatch.bytes -= kSavedBytes * static_cast<double>(l.layout(batch.storing->x()).size());
  result.push.byte_scale = static_cast<float>(1 / batch.normalization.std);
  result.push.byte_shift = static_cast<float>(-batch.normalization.mean / batch.normalization.std);
  result.push.places_replica = l.replica_stride(batch.places);
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
  if (!product.may_split) leave_whole(variants, sizes, l.device());
  if (product.small_tiles) prefer_small_tiles(variants);
  const GemmCase as_case = {form, sizes.m, sizes.n, sizes.k, precision, product.may_split};
  VariantQuestion question = {.family = family_of(product),
                              .shape = shape_of(sizes),
                              .candidates = {},
                              .flops = flops_of(sizes),
                              .probe = [as_case](ProbeSize size) { return probe(as_case, size); }};
  if (product.small_tiles) question.probe = nullptr;
  std::stable_partition(variants.begin(), variants.end(),
                        [](const auto& variant) { return !variant.last_resort; });
  for (const GemmVariant& variant : variants) {
    question.candidates.push_back(variant.name);
    question.last_resorts += variant.last_resort ? 1 : 0;
  }
  return variants[l.choose(std::move(question))];
}

// No contest measures it: docs/benchmarks.md has what it is worth.
bool wants_gathered(Lowering& l, const GemmProduct& product) {
  return l.choose({.family = fmt::format("gemm {} of a batch", to_string(product.form)),
                   .shape = shape_of(gemm_sizes(l, product)),
                   .candidates = {"gathered", "stored"},
                   .last_resorts = 1,
                   .flops = 0}) == 0;
}

void take_batch(Lowering& l, const GatheredBatch& batch, bool wanted, const GemmVariant& variant,
                GemmProduct& product) {
  if (wanted && variant.shader.starts_with("gemm_shuffle")) {
    product.gathered = &batch;
  } else {
    product.stored_x = batch.store(l);
  }
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
  if (product.gathered) gather_x(l, product, result);
  if (product.stored_x) dispatch.bindings[slot_of_x(product.form)] = *product.stored_x;
  return result;
}

}  // namespace vktrain::nn
