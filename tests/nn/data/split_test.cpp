// Splits and permutations: sizes, strata, and that a seed fixes them for ever.
#include "nn/data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <vector>

#include "tests/nn/expect_error.h"

namespace vktrain::nn {
namespace {

using Kind = SplitRule::Kind;
using Indices = std::vector<std::uint32_t>;

// Class c has 10 * (c + 1) members, interleaved.
std::vector<std::uint8_t> uneven_labels() {
  std::vector<std::uint8_t> labels;
  for (int round = 0; round < 100; ++round) {
    for (int c = 0; c < 10; ++c) {
      if (round < 10 * (c + 1)) labels.push_back(static_cast<std::uint8_t>(c));
    }
  }
  return labels;
}

void expect_partition(const Split& split, std::size_t count) {
  Indices all = split.train;
  all.insert(all.end(), split.validation.begin(), split.validation.end());
  std::ranges::sort(all);
  Indices expected(count);
  std::iota(expected.begin(), expected.end(), 0U);
  EXPECT_EQ(all, expected);
  EXPECT_TRUE(std::ranges::is_sorted(split.train));
  EXPECT_TRUE(std::ranges::is_sorted(split.validation));
}

TEST(Split, StratifiedTakesTheFractionOfEachClass) {
  const auto labels = uneven_labels();
  const Split split = make_split({.kind = Kind::stratified, .fraction = 0.1}, labels, 7);
  expect_partition(split, labels.size());
  std::array<int, 10> counts{};
  for (const std::uint32_t index : split.validation) ++counts[labels[index]];
  for (int c = 0; c < 10; ++c) EXPECT_EQ(counts[static_cast<std::size_t>(c)], c + 1);
}

TEST(Split, StratifiedDependsOnTheSeedAlone) {
  const auto labels = uneven_labels();
  const SplitRule rule;
  EXPECT_EQ(make_split(rule, labels, 7).validation, make_split(rule, labels, 7).validation);
  EXPECT_NE(make_split(rule, labels, 7).validation, make_split(rule, labels, 8).validation);
}

// Every image is as likely as any other of its class to validate.
TEST(Split, StratifiedIsFair) {
  const std::vector<std::uint8_t> labels(20, 3);
  std::array<int, 20> chosen{};
  constexpr int kSeeds = 4000;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const Split split = make_split({.kind = Kind::stratified, .fraction = 0.25}, labels,
                                   static_cast<std::uint64_t>(seed));
    ASSERT_EQ(split.validation.size(), 5U);
    for (const std::uint32_t index : split.validation) ++chosen[index];
  }
  // Five standard deviations of a binomial count with p = 1/4.
  for (const int count : chosen) EXPECT_NEAR(count, 1000, 5 * 27.4);
}

TEST(Split, TheSameOnEveryPlatform) {
  const std::vector<std::uint8_t> labels(40, 0);
  EXPECT_EQ(make_split({}, labels, 42).validation, (Indices{5, 14, 24, 32}));
  Indices items(8);
  std::iota(items.begin(), items.end(), 10U);
  EXPECT_EQ(permutation(items, 42, 3), (Indices{10, 14, 15, 11, 12, 13, 17, 16}));
}

TEST(Split, FirstAndNone) {
  const std::vector<std::uint8_t> labels(10, 1);
  const Split first = make_split({.kind = Kind::first, .count = 3}, labels, 1);
  EXPECT_EQ(first.validation, (Indices{0, 1, 2}));
  expect_partition(first, 10);
  const Split none = make_split({.kind = Kind::none}, labels, 1);
  EXPECT_TRUE(none.validation.empty());
  expect_partition(none, 10);
}

TEST(Split, RefusesEmptyParts) {
  const std::vector<std::uint8_t> labels(4, 1);
  expect_error([&] { make_split({.kind = Kind::first, .count = 4}, labels, 1); },
               {"first:4", "train", "4 images"});
  expect_error([&] { make_split({.kind = Kind::stratified, .fraction = 0.1}, labels, 1); },
               {"stratified:0.1", "validate", "4 images"});
  expect_error([&] { make_split({.kind = Kind::none}, {}, 1); }, {"none", "0 images"});
  expect_error<UsageError>(
      [&] { make_split({.kind = Kind::stratified, .fraction = 1.5}, labels, 1); }, {"1.5"});
}

TEST(SplitRule, ParsesAndPrints) {
  EXPECT_EQ(parse_split_rule("none"), (SplitRule{.kind = Kind::none}));
  EXPECT_EQ(parse_split_rule("stratified"), (SplitRule{.kind = Kind::stratified, .fraction = 0.1}));
  EXPECT_EQ(parse_split_rule("stratified:0.25"),
            (SplitRule{.kind = Kind::stratified, .fraction = 0.25}));
  EXPECT_EQ(parse_split_rule("first:5000"), (SplitRule{.kind = Kind::first, .count = 5000}));
  for (const char* text : {"none", "stratified:0.1", "stratified:0.3333333333333333", "first:1"}) {
    EXPECT_EQ(to_string(parse_split_rule(text)), text);
  }
}

TEST(SplitRule, RefusesEverythingElse) {
  for (const char* text :
       {"", "None", "random", "none:1", "first", "first:", "first:0", "first:-5", "first:5.5",
        "first:99999999999999999999", "stratified:", "stratified:0", "stratified:1",
        "stratified:nan", "stratified:0,1", "stratified:0.1 ", "stratified: 0.1"}) {
    expect_error<UsageError>(
        [&] { parse_split_rule(text); },
        {"'" + std::string(text) + "'", "none", "stratified:0.1", "first:5000"});
  }
}

TEST(Permutation, IsAPermutationAndDependsOnSeedAndEpoch) {
  Indices items(1000);
  std::iota(items.begin(), items.end(), 5U);
  const Indices order = permutation(items, 1, 0);
  EXPECT_EQ(order, permutation(items, 1, 0));
  EXPECT_NE(order, permutation(items, 1, 1));
  EXPECT_NE(order, permutation(items, 2, 0));
  EXPECT_NE(order, items);
  EXPECT_TRUE(std::ranges::is_permutation(order, items));
  EXPECT_TRUE(permutation({}, 1, 0).empty());
}

TEST(Permutation, EveryOrderIsEquallyLikely) {
  const Indices items{0, 1, 2, 3};
  std::vector<Indices> orders;
  std::vector<int> counts;
  constexpr std::uint32_t kEpochs = 24'000;
  for (std::uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
    const Indices order = permutation(items, 9, epoch);
    const auto found = std::ranges::find(orders, order);
    if (found == orders.end()) {
      orders.push_back(order);
      counts.push_back(1);
    } else {
      ++counts[static_cast<std::size_t>(found - orders.begin())];
    }
  }
  ASSERT_EQ(orders.size(), 24U);
  for (const int count : counts) EXPECT_NEAR(count, 1000, 5 * 31);
}

}  // namespace
}  // namespace vktrain::nn
