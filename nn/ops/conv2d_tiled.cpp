// The "tiled" kernels: implicit matrix products, a tile of the result a workgroup, through shared
// memory; see shaders/conv2d_tiled.glsl.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "nn/loop_turns.h"
#include "nn/ops/conv2d_pass.h"

namespace vktrain::nn::conv2d_tiled {
namespace {

constexpr std::int64_t kDepth = 16;  // of K at a time

// The weight gradient's K is split until there are about this many workgroups, each with at least
// kLeastDepth of K.
constexpr std::int64_t kWantedGroups = 1024;
constexpr std::int64_t kLeastDepth = 256;
// Fewer would leave a GPU idle.
constexpr std::int64_t kEnoughGroups = 128;

// All within the limits that Vulkan guarantees: 128 invocations, 13 KiB of shared memory. The first
// one wastes least of small products.
constexpr Conv2dTiling kTilings[] = {
    {32, 32, 4, 4}, {64, 64, 8, 4}, {32, 128, 4, 8}, {64, 128, 8, 8}};

// Invocations gather whole columns of the tile, and one step of K each.
constexpr bool shares_evenly(const Conv2dTiling& t) {
  return t.invocations() % t.columns == 0 && t.invocations() % kDepth == 0 &&
         t.rows * kDepth % t.invocations() == 0 && t.columns * kDepth % t.invocations() == 0;
}
static_assert(std::ranges::all_of(kTilings, shares_evenly));

// Over K: a turn has a loop over the tile's depth, and one that gathers a column of it (forward and
// data gradient). At the end come loops over the padding behind an image or a bias gradient.
LoopTurns turns_over_k(const Conv2dTiling& t, Conv2dPass pass) {
  const std::int64_t gathers =
      pass == Conv2dPass::weight_gradient ? 0 : t.columns * kDepth / t.invocations() + 1;
  const std::int64_t blocks = t.result_columns / 4;
  return {.step = kDepth, .per_step = 1 + gathers + kDepth + 1, .others = 1 + blocks * (4 * 4 + 5)};
}

std::int64_t taps(const Conv2dSizes& s) { return s.window.kernel.height * s.window.kernel.width; }

std::int64_t pixels(const Conv2dSizes& s, const Size2d& image) {
  return s.batch * image.height * image.width;
}

// C[M, N] = A[M, K] B[K, N] of a group of channels.
struct Product {
  std::int64_t m = 0, n = 0, k = 0;
};

Product product_of(Conv2dPass pass, const Conv2dSizes& s) {
  const std::int64_t in = s.in_channels / s.groups, out = s.out_channels / s.groups;
  switch (pass) {
    case Conv2dPass::forward:
      return {out, pixels(s, s.output), in * taps(s)};
    case Conv2dPass::data_gradient:
      return {in, pixels(s, s.input), out * taps(s)};
    case Conv2dPass::weight_gradient:
      break;
  }
  return {out, in * taps(s), pixels(s, s.output)};
}

std::int64_t workgroups(const Conv2dTiling& t, const Product& p, const Conv2dSizes& s) {
  return s.groups * divide_up(p.m, t.rows) * divide_up(p.n, t.columns);
}

// Products with what the tiles waste, each with its share of a multiply-add's load from shared
// memory and of the tile's loads from memory.
double cost(const Conv2dTiling& t, const Product& p) {
  const auto products = static_cast<double>(round_up(p.m, t.rows) * round_up(p.n, t.columns));
  const auto per = [](std::int64_t size) { return 1 / static_cast<double>(size); };
  return products *
         (per(t.rows) + per(t.columns) + (per(t.result_rows) + per(t.result_columns)) / 4);
}

Conv2dGrid grid_of(Conv2dPass pass, const Conv2dSizes& s, const Conv2dTiling& t) {
  const Product p = product_of(pass, s);
  const bool weights = pass == Conv2dPass::weight_gradient;
  return {.shader = weights ? "conv2d_tiled_weight_gradient" : "conv2d_tiled",
          .workgroup = to_u32(t.invocations()),
          .constants = {to_u32(t.rows), to_u32(t.columns), to_u32(t.result_rows),
                        to_u32(t.result_columns)},
          .workgroups = workgroups(t, p, s),
          .terms = p.k,
          .per_split = p.k,
          .turns = turns_over_k(t, pass).of(p.k),
          .m = p.m,
          .n = p.n,
          .k = p.k,
          .row_tiles = divide_up(p.m, t.rows)};
}

}  // namespace

std::vector<Conv2dCandidate> candidates(Conv2dPass pass, const Conv2dSizes& s,
                                        const runtime::DeviceProfile& device) {
  const auto candidate = [](const Conv2dTiling& t) {
    return Conv2dCandidate{.name = fmt::format("tiled {}x{}", t.rows, t.columns), .tiling = t};
  };
  if (device.kind == runtime::DeviceKind::cpu) return {candidate(kTilings[0])};
  std::vector<Conv2dTiling> tilings(std::begin(kTilings), std::end(kTilings));
  const Product p = product_of(pass, s);
  std::ranges::stable_sort(tilings, {}, [&p](const Conv2dTiling& t) { return cost(t, p); });
  // The weight gradient splits K instead. The smallest tiles are the most.
  if (pass != Conv2dPass::weight_gradient) {
    std::ranges::stable_sort(tilings, std::greater(), [&](const Conv2dTiling& t) {
      return std::min(workgroups(t, p, s), kEnoughGroups);
    });
  }
  std::vector<Conv2dCandidate> all;
  for (const Conv2dTiling& t : tilings) all.push_back(candidate(t));
  return all;
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dForward& o,
           const Conv2dTiling& tiling) {
  lower_conv2d(l, label, s, grid_of(Conv2dPass::forward, s, tiling), o);
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dDataGradientOperands& o, const Conv2dTiling& tiling) {
  lower_conv2d(l, label, s, grid_of(Conv2dPass::data_gradient, s, tiling), o);
}

void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dWeightGradientOperands& o, const Conv2dTiling& tiling) {
  Conv2dGrid grid = grid_of(Conv2dPass::weight_gradient, s, tiling);
  const std::int64_t wanted = std::max<std::int64_t>(1, kWantedGroups / grid.workgroups);
  const LoopTurns turns = turns_over_k(tiling, Conv2dPass::weight_gradient);
  grid.per_split = std::min(round_up(std::max(divide_up(grid.k, wanted), kLeastDepth), kDepth),
                            turns.most_terms(l.device()));
  grid.turns = turns.of(grid.per_split);
  lower_conv2d(l, label, s, grid, o);
}

}  // namespace vktrain::nn::conv2d_tiled
