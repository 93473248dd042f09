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
}

}  // namespace

GemmVariant choose_gemm_variant(GemmForm form, const GemmSizes& sizes,
                                const runtime::DeviceProfile& device) {
  const bool cpu = device.kind == runtime::DeviceKind::cpu;
  GemmVariant variant;
  variant.k_per_split = sizes.k;
  if (cpu) {
    // One subgroup a workgroup: more would only add a loop around it.
    variant.shader = fmt::format("gemm_register_{}", to_string(form));
    variant.workgroup = 8;
    variant.tile_rows = 16;
    variant.tile_columns = 64;
  } else {
    variant.shader = "gemm_tiled";
    variant.tile_rows = 32;
    variant.tile_columns = 32;
  }
  if (form == GemmForm::tn) split_k(variant, sizes, cpu ? kCpuGroups : kGpuGroups);
  return variant;
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
