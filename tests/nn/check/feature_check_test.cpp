// Rows about optional features and quirks.
#include "nn/check/feature_check.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vktrain::nn {
namespace {

runtime::DeviceProfile example() {
  runtime::DeviceProfile profile;
  profile.kind = runtime::DeviceKind::cpu;
  profile.driver_name = "llvmpipe";
  profile.subgroup_size = 8;
  profile.subgroup_shuffle = true;
  profile.half_matrix = {8, 8, 8};
  return profile;
}

CheckRow row(const runtime::DeviceProfile& raw, const runtime::DeviceProfile& used,
             std::string_view operation) {
  const std::vector<CheckRow> rows = feature_rows(raw, used);
  const auto found = std::ranges::find(rows, operation, &CheckRow::operation);
  return found == rows.end() ? CheckRow{} : *found;
}

TEST(FeatureCheckTest, WhatIsThereIsTold) {
  const CheckRow shuffles = row(example(), example(), "subgroup shuffles");
  EXPECT_EQ(shuffles.result, CheckResult::pass);
  EXPECT_EQ(shuffles.why, "subgroups of 8, which a test dispatch confirmed");
  EXPECT_EQ(row(example(), example(), "quirks of the driver").result, CheckResult::info);
}

TEST(FeatureCheckTest, WhatIsMissingIsSkipped) {
  runtime::DeviceProfile none = example();
  none.subgroup_shuffle = false;
  none.half_matrix = {};
  none.driver_name = "another";
  for (const char* operation : {"subgroup shuffles", "matrix units"}) {
    const CheckRow skipped = row(none, none, operation);
    EXPECT_EQ(skipped.result, CheckResult::skipped) << operation;
    EXPECT_FALSE(skipped.why.empty()) << operation;
  }
}

TEST(FeatureCheckTest, WhatNothingTestedDoesNotPass) {
  runtime::DeviceProfile gpu = example();
  gpu.kind = runtime::DeviceKind::discrete;
  gpu.driver_name = "another";
  for (const char* operation : {"subgroup shuffles", "texel buffers", "quirks of the driver"}) {
    const CheckRow told = row(gpu, gpu, operation);
    EXPECT_EQ(told.result, CheckResult::info) << operation;
    EXPECT_FALSE(told.why.empty()) << operation;
  }
  EXPECT_NE(row(gpu, gpu, "matrix units").result, CheckResult::pass);
}

// The device was opened and its test of shuffles failed.
TEST(FeatureCheckTest, ShufflesThatFailedTheirTestFail) {
  runtime::DeviceProfile used = example();
  used.subgroup_shuffle = false;
  EXPECT_EQ(row(example(), used, "subgroup shuffles").result, CheckResult::fail);
}

TEST(FeatureCheckTest, LimitsAreNoFailure) {
  runtime::DeviceProfile used = example();
  used.subgroup_shuffle = false;
  used.half_matrix = {};
  used.limits = "minimum";
  for (const char* operation : {"subgroup shuffles", "matrix units"}) {
    const CheckRow skipped = row(example(), used, operation);
    EXPECT_EQ(skipped.result, CheckResult::skipped) << operation;
    EXPECT_EQ(skipped.why, "not used within the limits of minimum") << operation;
  }
}

}  // namespace
}  // namespace vktrain::nn
