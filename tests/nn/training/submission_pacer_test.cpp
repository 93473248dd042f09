// How steps are cut into submissions.
#include "nn/training/submission_pacer.h"

#include <gtest/gtest.h>

namespace vktrain::testing {
namespace {

TEST(SubmissionPacer, ManyShortStepsGoInOneSubmission) {
  EXPECT_EQ(nn::steps_per_submission(0.25, 0.0005, 105), 105u);
  EXPECT_EQ(nn::steps_per_submission(0.25, 1e-9, 1000000), 4096u);
}

TEST(SubmissionPacer, ASubmissionStaysWithinItsBudget) {
  EXPECT_EQ(nn::steps_per_submission(0.25, 0.1, 105), 2u);
  EXPECT_EQ(nn::steps_per_submission(0.25, 0.25, 105), 1u);
}

TEST(SubmissionPacer, OneStepRunsHoweverLongItTakes) {
  EXPECT_EQ(nn::steps_per_submission(0.25, 3.0, 105), 1u);
  EXPECT_EQ(nn::steps_per_submission(0.25, 3.0, 1), 1u);
}

TEST(SubmissionPacer, TheFirstSubmissionMeasuresOneStep) {
  EXPECT_EQ(nn::steps_per_submission(1.0, 0.0, 105), 1u);
}

}  // namespace
}  // namespace vktrain::testing
