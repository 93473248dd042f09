#include "nn/ops/gemm_variants.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "nn/lowering.h"
#include "nn/ops/gemm.h"
#include "runtime/kernel.h"

namespace vktrain::nn {
namespace {

// K is split until the product has about this many workgroups.
constexpr std::int64_t kCpuGroups = 8;
constexpr std::int64_t kGpuGroups = 256;
constexpr std::int64_t kNoGroups = 0;     // no more than loops need
constexpr std::int64_t kLeastDepth = 64;  // of K per split
constexpr std::int64_t kSplitUnit = 16;   // splits begin at multiples of it
constexpr std::uint32_t kShuffleLanes = 8;

std::uint32_t to_word(std::int64_t value) { return static_cast<std::uint32_t>(value); }

void split_k(GemmVariant& variant, const GemmSizes& sizes, std::int64_t wanted_groups,
             const runtime::DeviceProfile& device) {
  const std::int64_t tiles =
      divide_up(sizes.m, variant.tile_rows) * divide_up(sizes.n, variant.tile_columns);
  // Aligned kernels take whole steps, past the end of a split, too.
  const std::int64_t unit = std::max(kSplitUnit, variant.turns.step);
  const std::int64_t deepest = std::max<std::int64_t>(1, variant.turns.most_terms(device) / unit);
  const std::int64_t least = divide_up(sizes.k, deepest * unit);
  const std::int64_t most = std::max(least, sizes.k / kLeastDepth);
  const std::int64_t wanted = std::clamp<std::int64_t>(wanted_groups / tiles, least, most);
  variant.k_per_split = round_up(divide_up(sizes.k, wanted), unit);
  variant.splits = static_cast<std::uint32_t>(divide_up(sizes.k, variant.k_per_split));
  if (variant.splits > 1) variant.name += fmt::format(" split {}", variant.splits);
}

GemmVariant register_variant(GemmForm form, const GemmSizes& sizes,
                             const runtime::DeviceProfile& device) {
  // One subgroup a workgroup: more would only add a loop around it.
  GemmVariant variant = {.name = "register 16x8",
                         .shader = fmt::format("gemm_register_{}", to_string(form)),
                         .workgroup = 8,
                         .tile_rows = 16,
                         .tile_columns = 64,
                         // And a loop over what is left of the last step.
                         .turns = {.step = 4, .others = 1 + 4}};
  split_k(variant, sizes, form == GemmForm::tn ? kCpuGroups : kNoGroups, device);
  return variant;
}

// Register tiles of `rows` x 8 whose lanes share A by shuffles.
GemmVariant shuffle_variant(GemmForm form, const GemmSizes& sizes, std::int64_t rows,
                            const runtime::DeviceProfile& device) {
  GemmVariant variant = {.name = fmt::format("shuffle {}x8", rows),
                         .shader = fmt::format("gemm_shuffle_{}", to_string(form)),
                         .workgroup = kShuffleLanes,
                         .tile_rows = rows,
                         .tile_columns = 64,
                         .rows_first = true,
                         .turns = {.step = 4}};
  split_k(variant, sizes, form == GemmForm::tn ? kCpuGroups : kNoGroups, device);
  return variant;
}

// The same with 8 x `columns`, whose lanes share B.
GemmVariant transposed_variant(GemmForm form, const GemmSizes& sizes, std::int64_t columns,
                               const runtime::DeviceProfile& device) {
  GemmVariant variant = {.name = fmt::format("shuffle 8x{} transposed", columns),
                         .shader = fmt::format("gemm_shuffle_{}", to_string(form)),
                         .workgroup = kShuffleLanes,
                         .tile_rows = 64,
                         .tile_columns = columns,
                         .transposed = true,
                         .turns = {.step = 4}};
  split_k(variant, sizes, form == GemmForm::tn ? kCpuGroups : kNoGroups, device);
  return variant;
}

// The larger tile does more per load and wastes more where it reaches past the matrix; the cost is
// that of a row of C on lavapipe 22.3 in tiles that reach nowhere past it, the mean of the three
// forms. The best three are for the tuner to choose from; the others are its last resort, and have
// the kernel of any of them at hand for the small sizes of its check.
struct ShuffleTile {
  std::int64_t rows;
  double row_cost;
};
constexpr ShuffleTile kShuffleTiles[] = {{32, 0.75}, {24, 0.76}, {20, 0.80}, {16, 0.83}, {8, 1.0}};
constexpr std::size_t kShuffleContenders = 3;

std::vector<GemmVariant> shuffle_variants(GemmForm form, const GemmSizes& sizes,
                                          const runtime::DeviceProfile& device) {
  struct Candidate {
    std::int64_t rows;
    bool transposed;
    double cost;
  };
  std::vector<Candidate> candidates;
  const auto add = [&candidates](const ShuffleTile& tile, std::int64_t across, std::int64_t along,
                                 bool transposed) {
    const auto area = static_cast<double>(round_up(across, tile.rows) * round_up(along, 64));
    candidates.push_back({tile.rows, transposed, area * tile.row_cost});
  };
  for (const ShuffleTile& tile : kShuffleTiles) add(tile, sizes.m, sizes.n, false);
  for (const ShuffleTile& tile : kShuffleTiles) add(tile, sizes.n, sizes.m, true);
  std::ranges::stable_sort(candidates, {}, &Candidate::cost);
  std::vector<GemmVariant> variants;
  for (const Candidate& candidate : candidates) {
    variants.push_back(candidate.transposed
                           ? transposed_variant(form, sizes, candidate.rows, device)
                           : shuffle_variant(form, sizes, candidate.rows, device));
    variants.back().last_resort = variants.size() > kShuffleContenders;
  }
  return variants;
}

// Of the "tiled" kernels; results of one invocation.
struct Tiling {
  std::int64_t rows, columns;
  std::uint32_t result_rows, result_columns;
  std::uint32_t depth;  // of K at a time

  constexpr std::uint32_t invocations() const {
    return static_cast<std::uint32_t>(rows / result_rows * columns / result_columns);
  }
  // Two tiles of each operand, with a vec4 of padding a row; bytes.
  std::uint64_t shared_memory() const {
    return 2 * std::uint64_t{depth} * static_cast<std::uint64_t>(rows / 4 + columns / 4 + 2) * 16;
  }
  bool fits(const runtime::DeviceProfile& device) const {
    return invocations() <= device.max_workgroup_invocations &&
           invocations() <= device.max_workgroup_size[0] &&
           shared_memory() <= device.max_shared_memory;
  }
  bool aligned(const GemmSizes& sizes) const {
    return sizes.m % rows == 0 && sizes.n % columns == 0 && sizes.k % depth == 0;
  }
  std::int64_t workgroups(const GemmSizes& sizes) const {
    return divide_up(sizes.m, rows) * divide_up(sizes.n, columns);
  }
};

constexpr Tiling kSmallestTiling = {32, 32, 4, 4, 16};
// The larger tile does more per load; the last one fits every device.
constexpr Tiling kTilings[] = {{128, 128, 8, 8, 8},
                               {128, 64, 8, 8, 8},
                               {64, 64, 8, 4, 8},
                               {64, 64, 4, 4, 16},
                               kSmallestTiling};

// Every invocation moves as many whole vec4 of a tile as any other.
constexpr bool shares_evenly(const Tiling& tiling) {
  const std::int64_t threads = tiling.invocations();
  return tiling.rows * tiling.depth / 4 % threads == 0 &&
         tiling.columns * tiling.depth / 4 % threads == 0;
}
static_assert(std::ranges::all_of(kTilings, shares_evenly));

GemmVariant tiled_variant(const Tiling& tiling, const GemmSizes& sizes, bool split,
                          const runtime::DeviceProfile& device) {
  const bool aligned = tiling.aligned(sizes);
  GemmVariant variant = {
      .name = fmt::format("tiled {}x{} by {}x{}{}", tiling.rows, tiling.columns, tiling.result_rows,
                          tiling.result_columns, aligned ? " aligned" : ""),
      .shader = "gemm_tiled",
      .workgroup = tiling.invocations(),
      .tile_rows = tiling.rows,
      .tile_columns = tiling.columns,
      // A turn has a loop over its depth. There is one turn more than there are tiles.
      .turns = {.step = tiling.depth, .per_step = tiling.depth + 2},
      .constants = {to_word(tiling.rows), to_word(tiling.columns), tiling.result_rows,
                    tiling.result_columns, tiling.depth, aligned ? 1u : 0u}};
  split_k(variant, sizes, split ? kGpuGroups : kNoGroups, device);
  return variant;
}

// The largest tile that gives the device enough workgroups is proposed, else the smallest, with K
// split where that is possible.
std::vector<GemmVariant> tiled_variants(const GemmSizes& sizes,
                                        const runtime::DeviceProfile& device) {
  std::vector<GemmVariant> enough, split, few;
  for (const Tiling& tiling : kTilings) {
    // The smallest one is within the limits that Vulkan guarantees.
    if (!tiling.fits(device) && &tiling != std::end(kTilings) - 1) continue;
    GemmVariant whole = tiled_variant(tiling, sizes, false, device);
    if (tiling.workgroups(sizes) >= kGpuGroups / 2) {
      enough.push_back(std::move(whole));
      continue;
    }
    few.insert(few.begin(), std::move(whole));
    GemmVariant parts = tiled_variant(tiling, sizes, true, device);
    if (parts.splits > few.front().splits) split.insert(split.begin(), std::move(parts));
  }
  enough.insert(enough.end(), split.begin(), split.end());
  enough.insert(enough.end(), few.begin(), few.end());
  return enough;
}

// Of the "matrix" kernel: a workgroup has 2 x 2 subgroups, each `side` x `side` of the device's
// matrices.
struct MatrixTiling {
  static constexpr std::int64_t kSubgroups = 2;
  static constexpr std::uint32_t kDepth = 32;  // of K at a time

  std::int64_t m, n, k;  // of one matrix
  std::int64_t side;
  std::uint32_t invocations;

  // One turn more than there are tiles, the loops that write the results, and the one that adds up
  // the sums of A.
  LoopTurns turns() const {
    const std::int64_t a_matrix = divide_up(m * n / 4, invocations / (kSubgroups * kSubgroups)) + 1;
    return {.step = kDepth,
            .others = 2 + side * side * a_matrix + divide_up(invocations, rows() / 4) + 1};
  }
  std::int64_t rows() const { return kSubgroups * side * m; }
  std::int64_t columns() const { return kSubgroups * side * n; }
  // Either layout of an operand's tile, with 16 bytes of padding a row; a matrix of each subgroup;
  // the invocations' sums of A. Bytes, at most.
  std::uint64_t shared_memory() const {
    const auto tile = [](std::int64_t lines) {
      return std::max(lines * (kDepth + 8), kDepth * (lines + 8)) * 2;
    };
    return static_cast<std::uint64_t>(tile(rows()) + tile(columns()) +
                                      kSubgroups * kSubgroups * m * n * 4) +
           std::uint64_t{invocations} * 16;
  }
  // Every invocation moves as many whole vec4 of a tile as any other, of the same lines each time.
  bool shares_evenly() const {
    return rows() * kDepth / 4 % invocations == 0 && columns() * kDepth / 4 % invocations == 0 &&
           invocations % (rows() / 4) == 0 && kDepth % k == 0;
  }
  bool fits(const runtime::DeviceProfile& device) const {
    return invocations <= device.max_workgroup_invocations &&
           invocations <= device.max_workgroup_size[0] &&
           shared_memory() <= device.max_shared_memory;
  }
  bool aligned(const GemmSizes& sizes) const {
    return sizes.m % rows() == 0 && sizes.n % columns() == 0 && sizes.k % kDepth == 0;
  }
};

GemmVariant matrix_variant(const MatrixTiling& tiling, const GemmSizes& sizes,
                           const runtime::DeviceProfile& device) {
  const bool aligned = tiling.aligned(sizes);
  GemmVariant variant = {
      .name =
          fmt::format("matrix {}x{}{}", tiling.rows(), tiling.columns(), aligned ? " aligned" : ""),
      .shader = "gemm_matrix",
      .workgroup = tiling.invocations,
      .tile_rows = tiling.rows(),
      .tile_columns = tiling.columns(),
      .turns = tiling.turns(),
      .constants = {to_word(tiling.rows()), to_word(tiling.columns()),
                    to_word(MatrixTiling::kSubgroups), to_word(MatrixTiling::kSubgroups),
                    MatrixTiling::kDepth, aligned ? 1u : 0u, to_word(tiling.m), to_word(tiling.n),
                    to_word(tiling.k), tiling.invocations}};
  split_k(variant, sizes, kGpuGroups, device);
  return variant;
}

std::vector<GemmVariant> matrix_variants(const GemmSizes& sizes,
                                         const runtime::DeviceProfile& device) {
  std::vector<GemmVariant> variants;
  if (device.half_matrix[0] == 0 || !runtime::has_shader("gemm_matrix")) return variants;
  for (const std::int64_t side : {1, 2, 4}) {
    const MatrixTiling tiling = {device.half_matrix[0], device.half_matrix[1],
                                 device.half_matrix[2], side, 4 * device.subgroup_size};
    if (!tiling.shares_evenly() || !tiling.fits(device)) continue;
    variants.push_back(matrix_variant(tiling, sizes, device));
  }
  return variants;
}

std::vector<GemmVariant> f32_candidates(GemmForm form, const GemmSizes& sizes,
                                        const runtime::DeviceProfile& device) {
  if (device.kind != runtime::DeviceKind::cpu) return tiled_variants(sizes, device);
  if (gemm_can_shuffle(device)) {
    std::vector<GemmVariant> variants = shuffle_variants(form, sizes, device);
    // Two to seven times as slow there: it would only take the tuner's time.
    variants.push_back(register_variant(form, sizes, device));
    variants.back().last_resort = true;
    return variants;
  }
  return {register_variant(form, sizes, device),
          tiled_variant(kSmallestTiling, sizes, form == GemmForm::tn, device)};
}

}  // namespace

GemmVariant unsplit(GemmVariant variant, const GemmSizes& sizes) {
  variant.splits = 1;
  variant.k_per_split = round_up(sizes.k, std::max(kSplitUnit, variant.turns.step));
  variant.name.resize(std::min(variant.name.size(), variant.name.find(" split ")));
  return variant;
}

bool gemm_can_shuffle(const runtime::DeviceProfile& device) {
  return reads_texels(device) && device.subgroup_shuffle && device.subgroup_size == kShuffleLanes;
}

std::vector<GemmVariant> gemm_candidates(GemmForm form, const GemmSizes& sizes,
                                         const runtime::DeviceProfile& device,
                                         Precision precision) {
  std::vector<GemmVariant> candidates = f32_candidates(form, sizes, device);
  if (precision == Precision::mixed) {
    std::ranges::move(matrix_variants(sizes, device), std::back_inserter(candidates));
  }
  return candidates;
}

std::vector<std::uint32_t> gemm_constants(const GemmVariant& variant, GemmForm form) {
  std::vector<std::uint32_t> constants = {variant.workgroup, 0, 0, 0, 0};
  if (variant.shader == "gemm_tiled" || variant.shader == "gemm_matrix") {
    constants.push_back(form == GemmForm::tn ? 1 : 0);
    constants.push_back(form == GemmForm::nt ? 1 : 0);
    constants.insert(constants.end(), variant.constants.begin(), variant.constants.end());
  } else if (variant.shader.starts_with("gemm_shuffle")) {
    constants.push_back(to_word(variant.transposed ? variant.tile_columns : variant.tile_rows));
    constants.push_back(variant.transposed ? 1 : 0);
  }
  return constants;
}

}  // namespace vktrain::nn
