#include "tests/support/test_device.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace vktrain::testing {

std::string test_device() {
  const char* variable = std::getenv("VKTRAIN_TEST_DEVICE");
  const std::string selector = variable != nullptr ? variable : "auto";
  if (selector != "none") return selector;
  const char* reason = "needs a device, and VKTRAIN_TEST_DEVICE is none";
  [reason] { GTEST_SKIP() << reason; }();
  throw ::testing::AssertionException(
      ::testing::TestPartResult(::testing::TestPartResult::kSkip, __FILE__, __LINE__, reason));
}

}  // namespace vktrain::testing
