// Moments, bounds and repeatability of initial values.
#include "nn/initializers/initializer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <stdexcept>

#include "runtime/error.h"

namespace vktrain::nn {
namespace {

constexpr std::int64_t kCount = 100000;
constexpr std::int64_t kFanIn = 784;
constexpr std::int64_t kFanOut = 128;

std::vector<float> draw(Initializer initializer, std::uint64_t seed = 1, std::uint32_t stream = 0,
                        std::int64_t count = kCount) {
  return initial_values(initializer, count, kFanIn, kFanOut, seed, stream);
}

struct Moments {
  double mean = 0;
  double deviation = 0;
  double kurtosis = 0;  // 3 for a normal, 1.8 for a uniform distribution
  double largest = 0;
};

Moments moments(const std::vector<float>& values) {
  Moments result;
  const auto n = static_cast<double>(values.size());
  for (const float value : values) result.mean += static_cast<double>(value) / n;
  double second = 0;
  double fourth = 0;
  for (const float value : values) {
    const double d = static_cast<double>(value) - result.mean;
    second += d * d / n;
    fourth += d * d * d * d / n;
    result.largest = std::max(result.largest, std::abs(static_cast<double>(value)));
  }
  result.deviation = std::sqrt(second);
  result.kurtosis = fourth / (second * second);
  return result;
}

void expect_uniform(InitializerKind kind, double bound) {
  const Moments found = moments(draw({.kind = kind}));
  EXPECT_NEAR(found.mean, 0, 0.01 * bound);
  EXPECT_NEAR(found.deviation, bound / std::sqrt(3.0), 0.01 * bound);
  EXPECT_NEAR(found.kurtosis, 1.8, 0.03);
  EXPECT_LE(found.largest, bound * (1 + 1e-7));
  EXPECT_GT(found.largest, 0.999 * bound);
}

void expect_normal(Initializer initializer, double deviation) {
  const Moments found = moments(draw(initializer));
  EXPECT_NEAR(found.mean, 0, 0.015 * deviation);
  EXPECT_NEAR(found.deviation, deviation, 0.01 * deviation);
  EXPECT_NEAR(found.kurtosis, 3, 0.1);
}

TEST(Initializer, Constant) {
  EXPECT_EQ(draw({.kind = InitializerKind::constant, .value = 1.5}, 1, 0, 3),
            (std::vector<float>{1.5f, 1.5f, 1.5f}));
}

TEST(Initializer, Uniform) {
  expect_uniform(InitializerKind::uniform_fan_in, 1 / std::sqrt(784.0));
  expect_uniform(InitializerKind::xavier_uniform, std::sqrt(6.0 / (784 + 128)));
  expect_uniform(InitializerKind::kaiming_uniform, std::sqrt(6.0 / 784));
}

TEST(Initializer, Normal) {
  expect_normal({.kind = InitializerKind::normal, .value = 0.01}, 0.01);
  expect_normal({.kind = InitializerKind::xavier_normal}, std::sqrt(2.0 / (784 + 128)));
  expect_normal({.kind = InitializerKind::kaiming_normal}, std::sqrt(2.0 / 784));
}

TEST(Initializer, SeedAndStreamDecide) {
  const Initializer normal{.kind = InitializerKind::normal, .value = 1};
  const std::vector<float> first = draw(normal, 3, 4, 50);
  draw(normal, 9, 9, 7);  // other draws in between do not matter
  EXPECT_EQ(draw(normal, 3, 4, 50), first);
  // A longer draw begins with the shorter one.
  const std::vector<float> longer = draw(normal, 3, 4, 80);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), longer.begin()));
  std::set<float> different(first.begin(), first.end());
  for (const auto& [seed, stream] : {std::pair{3u, 5u}, {4u, 4u}, {4u, 3u}}) {
    for (const float value : draw(normal, seed, stream, 50)) different.insert(value);
  }
  EXPECT_GT(different.size(), 190u);  // no stream repeats another
}

TEST(Initializer, RefusesWhatHasNoMeaning) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_THROW(draw({.kind = InitializerKind::normal, .value = -1}), UsageError);
  EXPECT_THROW(draw({.kind = InitializerKind::constant, .value = infinity}), UsageError);
  const Initializer uniform{.kind = InitializerKind::uniform_fan_in};
  EXPECT_THROW(initial_values(uniform, 3, 0, 5, 1, 0), std::invalid_argument);
  const Initializer xavier{.kind = InitializerKind::xavier_normal};
  EXPECT_THROW(initial_values(xavier, 3, 5, 0, 1, 0), std::invalid_argument);
  EXPECT_TRUE(initial_values(uniform, 0, 5, 5, 1, 0).empty());
}

}  // namespace
}  // namespace vktrain::nn
