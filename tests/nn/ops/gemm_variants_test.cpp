// Which kernels are offered for a matrix product, and which comes first.
#include "nn/ops/gemm_variants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "nn/ops/gemm.h"
#include "nn/rng.h"
#include "runtime/kernel.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// The proposal of every device has been tested without a tuner.
TEST(GemmVariants, MatrixUnitsAreNeverProposedUntested) {
  runtime::DeviceProfile profile;
  profile.half_matrix = {16, 16, 16};
  profile.subgroup_size = 32;
  profile.max_workgroup_invocations = 1024;
  profile.max_workgroup_size = {1024, 1024, 64};
  profile.max_shared_memory = 49152;
  const auto matrices = [&profile](Precision precision) {
    std::size_t count = 0;
    for (const GemmVariant& variant :
         gemm_candidates(GemmForm::nt, {4096, 4096, 4096}, profile, precision)) {
      if (variant.shader == "gemm_matrix") ++count;
    }
    return count;
  };
  for (const runtime::DeviceKind kind : {runtime::DeviceKind::cpu, runtime::DeviceKind::discrete}) {
    profile.kind = kind;
    EXPECT_NE(gemm_candidates(GemmForm::nt, {64, 64, 64}, profile, Precision::mixed).front().shader,
              "gemm_matrix");
    EXPECT_EQ(matrices(Precision::f32), 0u);
    EXPECT_EQ(matrices(Precision::mixed), runtime::has_shader("gemm_matrix") ? 3u : 0u);
  }
}

// A device with the least limits that Vulkan allows gets kernels within them only.
TEST(GemmVariants, StayWithinTheDevicesLimits) {
  runtime::DeviceProfile least;
  least.kind = runtime::DeviceKind::integrated;
  least.max_workgroup_invocations = 128;
  least.max_workgroup_size = {128, 128, 64};
  least.max_shared_memory = 16384;
  runtime::DeviceProfile large = least;
  large.max_workgroup_invocations = 1024;
  large.max_workgroup_size = {1024, 1024, 64};
  large.max_shared_memory = 49152;
  const GemmSizes sizes = {4096, 4096, 4096};
  for (const GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
    const std::vector<GemmVariant> few = gemm_candidates(form, sizes, least);
    for (const GemmVariant& variant : few) EXPECT_LE(variant.workgroup, 128u) << variant.name;
    EXPECT_EQ(few.front().name, "tiled 128x64 by 8x8 aligned");
    EXPECT_EQ(gemm_candidates(form, sizes, large).front().name, "tiled 128x128 by 8x8 aligned");
    EXPECT_GT(gemm_candidates(form, sizes, large).size(), few.size());
    // Too few of the large tiles to fill a GPU.
    EXPECT_EQ(gemm_candidates(form, {512, 100, 784}, large).front().name,
              "tiled 32x32 by 4x4 split 4");
  }
}

// Every split has work, and together they cover K once.
TEST(GemmVariants, SplitsCoverK) {
  runtime::DeviceProfile profile;
  PhiloxRng rng(5);
  bool any_split = false;
  for (int trial = 0; trial < 2000; ++trial) {
    profile.kind = trial % 2 ? runtime::DeviceKind::cpu : runtime::DeviceKind::discrete;
    const GemmSizes sizes = {1 + rng.below(300), 1 + rng.below(900), 1 + rng.below(5000)};
    for (const GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
      for (const GemmVariant& variant : gemm_candidates(form, sizes, profile)) {
        const std::int64_t splits = variant.splits;
        EXPECT_GE(splits * variant.k_per_split, sizes.k);
        EXPECT_LT((splits - 1) * variant.k_per_split, sizes.k);
        const std::int64_t unit = std::max<std::int64_t>(16, variant.turns.step);
        EXPECT_TRUE(splits == 1 || variant.k_per_split % unit == 0) << variant.name;
        any_split = any_split || splits > 1;
      }
    }
  }
  EXPECT_TRUE(any_split);
}

// A subgroup of 8 lanes that shuffles, as lavapipe has it.
runtime::DeviceProfile lanes_profile() {
  runtime::DeviceProfile profile;
  profile.kind = runtime::DeviceKind::cpu;
  profile.subgroup_size = 8;
  profile.subgroup_shuffle = true;
  profile.max_storage_range = profile.max_texel_elements = 1u << 27;
  return profile;
}

// So that the tuner's check, which takes smaller sizes, finds the kernel that won.
TEST(GemmVariants, EveryShapeHasEveryShuffleTile) {
  const auto names = [](GemmForm form, const GemmSizes& sizes) {
    std::set<std::string> found;
    for (const GemmVariant& variant : gemm_candidates(form, sizes, lanes_profile())) {
      found.insert(variant.name.substr(0, variant.name.find(" split")));
    }
    return found;
  };
  for (const GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
    const std::set<std::string> all = names(form, {512, 400, 784});
    EXPECT_EQ(all.size(), 11u);
    for (const GemmSizes& sizes : {GemmSizes{1, 1, 1}, {64, 10, 64}, {128, 16, 272}}) {
      EXPECT_EQ(names(form, sizes), all);
    }
  }
}

// Tiles that reach little past the matrix are proposed, along either side.
TEST(GemmVariants, ShuffleTilesFollowTheShape) {
  const auto proposal = [](GemmForm form, const GemmSizes& sizes) {
    const std::vector<GemmVariant> offered = gemm_candidates(form, sizes, lanes_profile());
    EXPECT_EQ(std::ranges::count(offered, false, &GemmVariant::last_resort), 3);
    return offered.front().name;
  };
  EXPECT_EQ(proposal(GemmForm::nt, {64, 64, 100}), "shuffle 32x8");
  EXPECT_EQ(proposal(GemmForm::nt, {64, 100, 784}), "shuffle 8x20 transposed");
  EXPECT_EQ(proposal(GemmForm::nt, {64, 10, 64}), "shuffle 8x16 transposed");
  EXPECT_EQ(proposal(GemmForm::nt, {120, 64, 784}), "shuffle 24x8");
  EXPECT_EQ(proposal(GemmForm::nn, {5, 64, 64}), "shuffle 8x8");
  EXPECT_EQ(proposal(GemmForm::nn, {64, 100, 64}), "shuffle 8x20 transposed");
  EXPECT_EQ(proposal(GemmForm::tn, {100, 784, 64}), "shuffle 20x8");
  EXPECT_EQ(proposal(GemmForm::tn, {64, 100, 512}), "shuffle 8x20 transposed");
}

// All of K, in whole steps of the kernel, and the name of the kernel that does that.
TEST(GemmVariants, UnsplitTakesKInOnePiece) {
  for (const std::int64_t k : {128, 300, 1023, 1024}) {
    const GemmSizes sizes = {37, 101, k};
    const GemmVariant split = gemm_candidates(GemmForm::tn, sizes, lanes_profile()).front();
    ASSERT_GT(split.splits, 1u);
    const GemmVariant whole = unsplit(split, sizes);
    EXPECT_EQ(whole.name, "shuffle 20x8");
    EXPECT_EQ(whole.splits, 1u);
    EXPECT_GE(whole.k_per_split, k);
    EXPECT_LT(whole.k_per_split, k + 16);
    EXPECT_EQ(whole.k_per_split % 16, 0);
    EXPECT_EQ(whole.shader, split.shader);
    EXPECT_EQ(whole.tile_rows, split.tile_rows);
  }
  const GemmSizes sizes = {100, 784, 64};
  const GemmVariant whole = gemm_candidates(GemmForm::tn, sizes, lanes_profile()).front();
  EXPECT_EQ(unsplit(whole, sizes).name, whole.name);
  EXPECT_EQ(unsplit(whole, sizes).k_per_split, whole.k_per_split);
}

}  // namespace
}  // namespace vktrain::testing
