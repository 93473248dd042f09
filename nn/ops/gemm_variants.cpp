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
constexpr std::uint32_t kShuffleLanes = 8;

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

// Register tiles of `rows` x 8 whose lanes share A by shuffles.
GemmVariant shuffle_variant(GemmForm form, const GemmSizes& sizes, std::int64_t rows) {
  GemmVariant variant = {.name = fmt::format("shuffle {}x8", rows),
                         .shader = fmt::format("gemm_shuffle_{}", to_string(form)),
                         .workgroup = kShuffleLanes,
                         .tile_rows = rows,
                         .tile_columns = 64,
                         .k_per_split = sizes.k};
  if (form == GemmForm::tn) split_k(variant, sizes, kCpuGroups);
  return variant;
}

// The larger tile does more per load (on lavapipe a row costs about 1, 0.74 and 0.55 in tiles of 8,
// 16 and 32) and wastes more where it reaches past M.
std::vector<GemmVariant> shuffle_variants(GemmForm form, const GemmSizes& sizes) {
  struct Tile {
    std::int64_t rows;
    double row_cost;
  };
  std::vector<Tile> tiles = {{32, 0.55}, {16, 0.74}, {8, 1.0}};
  const auto cost = [&sizes](const Tile& tile) {
    return static_cast<double>(round_up(sizes.m, tile.rows)) * tile.row_cost;
  };
  std::ranges::stable_sort(tiles, {}, cost);
  std::vector<GemmVariant> variants;
  for (const Tile& tile : tiles) variants.push_back(shuffle_variant(form, sizes, tile.rows));
  return variants;
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
  const bool cpu = device.kind == runtime::DeviceKind::cpu;
  std::vector<GemmVariant> variants;
  if (cpu && device.subgroup_shuffle && device.subgroup_size == kShuffleLanes) {
    variants = shuffle_variants(form, sizes);
  }
  variants.push_back(register_variant(form, sizes));
  variants.insert(cpu ? variants.end() : variants.begin(), tiled_variant(form, sizes));
  return variants;
}

std::vector<std::uint32_t> gemm_constants(const GemmVariant& variant, GemmForm form) {
  std::vector<std::uint32_t> constants = {variant.workgroup, 0, 0, 0};
  if (variant.shader == "gemm_tiled") {
    constants.push_back(form == GemmForm::tn ? 1 : 0);
    constants.push_back(form == GemmForm::nt ? 1 : 0);
  } else if (variant.shader.starts_with("gemm_shuffle")) {
    constants.push_back(static_cast<std::uint32_t>(variant.tile_rows));
  }
  return constants;
}

}  // namespace vktrain::nn
