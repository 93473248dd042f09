// ULP arithmetic: what counts as how many, and what is never within a limit.
#include "nn/check/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace vktrain::nn {
namespace {

constexpr double kUlp = 0x1p-23;

Discrepancy compare_one(double reference, double value, const Tolerance& tolerance) {
  return compare_values({&reference, 1}, {&value, 1}, DType::f32, tolerance);
}

TEST(Comparison, AnUlpIsTheSpacingAtTheMagnitude) {
  const Discrepancy d = compare_one(1, 1 + kUlp, {.relative = 2});
  EXPECT_DOUBLE_EQ(d.ulp, 1);
  EXPECT_DOUBLE_EQ(d.limit_ulp, 1);
  EXPECT_TRUE(d.within());
  EXPECT_FALSE(compare_one(1, 1 + 1.01 * kUlp, {.relative = 2}).within());
  EXPECT_DOUBLE_EQ(compare_one(-8, -8 + 8 * kUlp, {.relative = 2}).ulp, 1);
}

// 2^-24 (relative * |reference| + absolute), whatever the reference is.
TEST(Comparison, TermsThatCancelAddToTheMagnitude) {
  const Tolerance tolerance = {.relative = 8, .absolute = 24};
  for (const double reference : {0.0, 1e-9, 0.5, -3.0}) {
    const double allowed = 0x1p-24 * (8 * std::abs(reference) + 24);
    EXPECT_TRUE(compare_one(reference, reference + 0.999 * allowed, tolerance).within());
    EXPECT_FALSE(compare_one(reference, reference + 1.001 * allowed, tolerance).within());
  }
  EXPECT_DOUBLE_EQ(compare_one(0, 3 * kUlp, tolerance).ulp, 1);
}

TEST(Comparison, NothingIsAllowedWithoutTolerance) {
  EXPECT_TRUE(compare_one(0.1f, 0.1f, {.relative = 0}).within());
  EXPECT_FALSE(compare_one(1, 1 + kUlp, {.relative = 0}).within());
  EXPECT_FALSE(compare_one(0, 1e-30, {.relative = 8}).within());
  // A device may flush denormal numbers.
  EXPECT_TRUE(compare_one(1e-39, 0, {.relative = 0}).within());
}

TEST(Comparison, WhatIsNoNumberFails) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  const Tolerance wide = {.relative = 1e6, .absolute = 1e6};
  for (const double value : {nan, infinite, -infinite}) {
    const Discrepancy d = compare_one(1, value, wide);
    EXPECT_FALSE(d.within()) << value;
    EXPECT_EQ(d.relative, infinite) << value;
  }
}

TEST(Comparison, IntegersMustBeEqual) {
  const std::vector<double> reference = {4, 4294967295.0}, other = {4, 4294967294.0};
  const Tolerance wide = {.relative = 1e6, .absolute = 1e6};
  EXPECT_TRUE(compare_values(reference, reference, DType::u32, wide).within());
  const Discrepancy d = compare_values(reference, other, DType::u32, wide);
  EXPECT_FALSE(d.within());
  EXPECT_EQ(d.element, 1u);
}

TEST(Comparison, TellsTheElementNearestToItsLimit) {
  const std::vector<double> reference = {100, 1, 0.5};
  const std::vector<double> values = {100 + 50 * kUlp, 1 + 2 * kUlp, 0.5};
  const Discrepancy d = compare_values(reference, values, DType::f32, {.relative = 8});
  EXPECT_EQ(d.element, 1u);
  EXPECT_DOUBLE_EQ(d.ulp, 2);
  EXPECT_DOUBLE_EQ(d.share(), 0.5);
  EXPECT_DOUBLE_EQ(d.relative, 50 * kUlp / 100);
}

}  // namespace
}  // namespace vktrain::nn
