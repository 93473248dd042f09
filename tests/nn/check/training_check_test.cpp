// The known losses are those of the reference, and the test device has them, too.
#include "nn/check/training_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "nn/check/device_check.h"
#include "nn/check/reference_training.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

TEST(KnownLosses, AreThoseOfTheReference) {
  for (const TrainingCase& c : training_cases()) {
    const std::vector<double> losses = reference_losses(c.experiment, c.images);
    ASSERT_EQ(losses.size(), c.known_losses.size()) << c.name;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      ASSERT_NEAR(losses[i], c.known_losses[i], 1e-9)
          << c.name << ", step " << i + 1
          << "; all: " << fmt::format("{:.12g}", fmt::join(losses, ", "));
    }
    if (c.name.ends_with("200 steps")) {
      EXPECT_LT(losses.back(), 0.5 * losses.front());
    }
  }
  EXPECT_TRUE(known_losses("another").empty());
}

class TrainingCheckTest : public DeviceTest {
 protected:
  DeviceReport trainings(const std::string& filter) {
    CheckOptions options;
    options.filter = filter;
    DeviceReport report;
    check_trainings(device(), options, report);
    return report;
  }
};

TEST_F(TrainingCheckTest, ShortTrainingsPass) {
  const DeviceReport report = trainings("30 steps");
  EXPECT_EQ(report.rows.size(), 6u);
  for (const CheckRow& row : report.rows) {
    EXPECT_EQ(row.result, CheckResult::pass) << row.name() << ": " << row.why;
  }
  ASSERT_EQ(report.losses.size(), 2u);
  EXPECT_EQ(report.losses[1].first, "convolutional, 30 steps");
  EXPECT_EQ(report.losses[1].second.size(), 30u);
}

TEST_F(TrainingCheckTest, DeviceChecksPass) {
  DeviceReport report;
  check_device(device(), {}, {.submissions = 30, .long_seconds = 0.02, .memory = 8 << 20}, report);
  EXPECT_EQ(report.rows.size(), list_device(device(), {}).size());
  for (const CheckRow& row : report.rows) {
    EXPECT_NE(row.result, CheckResult::fail) << row.name() << ": " << row.why;
    EXPECT_FALSE(row.why.empty()) << row.name();
  }
}

}  // namespace
}  // namespace vktrain::testing
