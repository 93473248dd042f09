// Philox4x32-10 against the known answers of its authors' Random123 library, and the draws on top.
#include "nn/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

namespace vktrain::nn {
namespace {

using Block = std::array<std::uint32_t, 4>;

TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxRng, WalksTheBlocksOfItsStream) {
  PhiloxRng rng(0x299f31d0a4093822, 0x0370734413198a2e);
  for (std::uint32_t block = 0; block < 3; ++block) {
    for (const std::uint32_t word :
         philox4x32({block, 0, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0})) {
      EXPECT_EQ(rng.next_u32(), word);
    }
  }
}

TEST(PhiloxRng, SeedsStreamsAndUsesDiffer) {
  std::set<std::uint32_t> first;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    for (const RandomUse use : {RandomUse::initializer, RandomUse::split, RandomUse::shuffle,
                                RandomUse::dropout, RandomUse::augmentation}) {
      for (std::uint32_t index = 0; index < 4; ++index) {
        first.insert(PhiloxRng(seed, random_stream(use, index)).next_u32());
      }
    }
  }
  EXPECT_EQ(first.size(), 4U * 5U * 4U);
}

TEST(PhiloxRng, UniformFillsItsIntervalEvenly) {
  PhiloxRng rng(1);
  constexpr int kDraws = 100'000;
  std::array<int, 10> bins{};
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.uniform(-2.0, 3.0);
    ASSERT_GE(value, -2.0);
    ASSERT_LT(value, 3.0);
    ++bins[static_cast<std::size_t>((value + 2.0) * 2.0)];
  }
  // Five standard deviations of a binomial count.
  for (const int bin : bins) EXPECT_NEAR(bin, kDraws / 10, 5 * std::sqrt(kDraws * 0.09));
}

TEST(PhiloxRng, UniformNeverReachesItsUpperEnd) {
  // Between these neighbours every draw is a rounding decision.
  const double low = 1.0;
  const double high = std::nextafter(1.0, 2.0);
  PhiloxRng rng(2);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(rng.uniform(low, high), low);
}

TEST(PhiloxRng, NormalHasTheMomentsOfTheStandardNormal) {
  PhiloxRng rng(3);
  constexpr int kDraws = 200'000;
  double sum = 0, squares = 0, cubes = 0, fourths = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
    cubes += value * value * value;
    fourths += value * value * value * value;
  }
  // Five standard errors: the moments' variances are 1, 2, 15 and 96.
  EXPECT_NEAR(sum / kDraws, 0, 5 * std::sqrt(1.0 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(cubes / kDraws, 0, 5 * std::sqrt(15.0 / kDraws));
  EXPECT_NEAR(fourths / kDraws, 3, 5 * std::sqrt(96.0 / kDraws));
}

TEST(PhiloxRng, BelowIsUnbiased) {
  // With n = 3 * 2^30 a plain remainder or product would give one third of the values twice as
  // often.
  constexpr std::uint32_t kThird = 1U << 30;
  PhiloxRng rng(4);
  constexpr int kDraws = 90'000;
  std::array<int, 3> thirds{};
  std::array<int, 3> residues{};
  for (int i = 0; i < kDraws; ++i) {
    const std::uint32_t value = rng.below(3 * kThird);
    ASSERT_LT(value, 3 * kThird);
    ++thirds[value / kThird];
    ++residues[value % 3];
  }
  for (const int count : thirds) EXPECT_NEAR(count, kDraws / 3, 5 * std::sqrt(kDraws * 2 / 9.0));
  for (const int count : residues) EXPECT_NEAR(count, kDraws / 3, 5 * std::sqrt(kDraws * 2 / 9.0));
}

TEST(PhiloxRng, BelowOneIsZero) {
  PhiloxRng rng(5);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rng.below(1), 0U);
}

}  // namespace
}  // namespace vktrain::nn
