#include "nn/experiment/suggest.h"

#include <gtest/gtest.h>

#include <vector>

namespace vktrain::nn {
namespace {

TEST(Suggest, EditDistanceCountsInsertionsDeletionsAndReplacements) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("learning_rat", "learning_rate"), 1u);
  EXPECT_EQ(edit_distance("flaw", "lawn"), 2u);
}

TEST(Suggest, NamesTheNearestKnownName) {
  const std::vector<std::string> known = {"learning_rate", "momentum", "beta1", "beta2"};
  EXPECT_EQ(suggest("lerning_rate", known), "did you mean 'learning_rate'?");
  EXPECT_EQ(suggest("beta3", known), "did you mean 'beta1'?");
}

TEST(Suggest, ListsWhatIsKnownWhereNothingIsNear) {
  const std::vector<std::string> known = {"relu", "tanh"};
  EXPECT_EQ(suggest("convolution", known), "known are 'relu', 'tanh'");
  EXPECT_EQ(suggest("", known), "known are 'relu', 'tanh'");
  EXPECT_EQ(suggest("relu", {}), "");
}

TEST(Suggest, ListsSixNamesAtMost) {
  const std::vector<std::string> known = {"one", "two", "three", "four", "five", "six"};
  EXPECT_EQ(suggest("convolution", known),
            "known are 'one', 'two', 'three', 'four', 'five', 'six'");
  std::vector<std::string> more = known;
  more.insert(more.end(), {"seven", "eight"});
  EXPECT_EQ(suggest("convolution", more),
            "known are 'one', 'two', 'three', 'four', 'five', 'six' and 2 more");
}

TEST(Suggest, InitialsNameAKeyOfSeveralWords) {
  const std::vector<std::string> known = {"eps", "l1", "rate", "learning_rate", "learning_rates"};
  EXPECT_EQ(nearest("lr", known), "learning_rate");
  EXPECT_EQ(nearest("r", known), "");
  EXPECT_EQ(nearest("", known), "");
}

TEST(Suggest, AShortNameIsNotNearWhenEveryLetterDiffers) {
  const std::vector<std::string> known = {"p"};
  EXPECT_EQ(nearest("q", known), "");
}

}  // namespace
}  // namespace vktrain::nn
