#include "nn/ops/gemm_variants.h"

#include <fmt/format.h>

#include <algorithm>

#include "nn/ops/gemm.h"
#include "nn/tensor.h"

namespace vktrain::nn {
namespace {

// K is split until the product has about this many workgroups.
constexpr std::int64_t kCpuGroups = 8;
constexpr std::int64_t kGpuGroups = 256;
constexpr std::int64_t kLeastDepth = 64;  // of K per split

void split_k(GemmVariant& variant, const GemmSizes& sizes, std::int64_t wanted_groups) {
  const std::int64_t tiles =
      divide_up(sizes.m, variant.tile_rows) * divide_up(sizes.n, variant.tile_columns);
  const std::int64_t most = std::max<std::int64_t>(1, sizes.k / kLeastDepth);
  const std::int64_t wanted = std::clamp<std::int64_t>(wanted_groups / tiles, 1, most);
  variant.k_per_split = round_up(divide_up(sizes.k, wanted), 16);
  variant.splits = static_cast<std::uint32_t>(divide_up(sizes.k, variant.k_per_split));
  if (variant.splits > 1) variant.name += fmt::format(" split {}", variant.splits);
}

GemmVariant register_variant(GemmForm form, const GemmSizes& sizes) {
  // One subgroup a workgroup: more would only add a loop around it.
  GemmVariant variant = {.name = "register 16x8",
                         .shader = fmt::format("gemm_register_{}", to_string(form)),
                         .workgroup = 8,
                         .tile_rows = 16,
                         .tile_columns = 64,
                         .k_per_split = sizes.k};
  if (form == GemmForm::tn) split_k(variant, sizes, kCpuGroups);
  return variant;
}

GemmVariant tiled_variant(GemmForm form, const GemmSizes& sizes) {
  GemmVariant variant = {.name = "tiled 32x32",
                         .shader = "gemm_tiled",
                         .tile_rows = 32,
                         .tile_columns = 32,
                         .k_per_split = sizes.k};
  if (form == GemmForm::tn) split_k(variant, sizes, kGpuGroups);
  return variant;
}

}  // namespace

std::vector<GemmVariant> gemm_candidates(GemmForm form, const GemmSizes& sizes,
                                         const runtime::DeviceProfile& device) {
  std::vector<GemmVariant> variants = {register_variant(form, sizes), tiled_variant(form, sizes)};
  if (device.kind != runtime::DeviceKind::cpu) std::swap(variants[0], variants[1]);
  return variants;
}

std::vector<std::uint32_t> gemm_constants(const GemmVariant& variant, GemmForm form) {
  std::vector<std::uint32_t> constants = {variant.workgroup, 0, 0, 0};
  if (variant.shader == "gemm_tiled") {
    constants.push_back(form == GemmForm::tn ? 1 : 0);
    constants.push_back(form == GemmForm::nt ? 1 : 0);
  }
  return constants;
}

}  // namespace vktrain::nn
