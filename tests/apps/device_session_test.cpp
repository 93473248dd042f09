// DeviceSession: the validation layer's messages reach the user, also when a command fails.
#include "apps/vktrain/device_session.h"

#include <sstream>

#include "runtime/atomic_file.h"
#include "runtime/device_impl.h"
#include "runtime/error.h"
#include "tests/runtime/graph_fixture.h"
#include "tests/support/scoped_variable.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::app {
namespace {

class DeviceSessionTest : public testing::GraphTest {
 protected:
  void SetUp() override {
    testing::GraphTest::SetUp();
    if (!device().validating()) GTEST_SKIP() << "the validation layer is turned off";
  }

  ComputeOptions options() {
    return {.device = std::to_string(device().profile().index), .validate = true};
  }

  // Records a dispatch without the push constant that its shader reads.
  static void provoke(runtime::Device& device) {
    testing::add_test_shaders(device);
    runtime::Buffer x(device, 256, "x");
    runtime::Buffer y(device, 256, "y");
    runtime::CommandGraph graph(device);
    runtime::Dispatch dispatch = elementwise("add_constant", 3, {&x, 0, 256}, {&y, 0, 256});
    dispatch.push.clear();
    graph.add(dispatch);
    graph.record();
  }
};

TEST_F(DeviceSessionTest, AFailedCommandStillPrintsTheMessages) {
  std::ostringstream err;
  try {
    DeviceSession session(options(), err);
    provoke(session.device());
    throw Error("out of luck");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "out of luck");
  }
  EXPECT_TRUE(err.str().starts_with("validation: ")) << err.str();
  EXPECT_NE(err.str().find("push"), std::string::npos) << err.str();
}

TEST_F(DeviceSessionTest, CloseFailsAndPrintsTheMessagesOnce) {
  std::ostringstream err;
  std::string printed;
  {
    DeviceSession session(options(), err);
    provoke(session.device());
    EXPECT_THROW(session.close(), Error);
    printed = err.str();
  }
  EXPECT_TRUE(printed.starts_with("validation: ")) << printed;
  EXPECT_EQ(err.str(), printed);
}

TEST_F(DeviceSessionTest, PrintsWhatTheDeviceNotices) {
  const testing::TemporaryFolder folder;
  const testing::ScopedVariable variable("VKTRAIN_CACHE_DIR", folder.path());
  const auto& owner = device().impl().pipelines->owner();
  write_file_atomically(folder / runtime::pipeline_file_name(owner), "damaged");
  std::ostringstream err;
  DeviceSession session(options(), err);
  EXPECT_NO_THROW(session.close());
  EXPECT_TRUE(err.str().starts_with("note: cannot use '")) << err.str();
}

TEST_F(DeviceSessionTest, WithoutMessagesNothingIsPrinted) {
  std::ostringstream err;
  DeviceSession session(options(), err);
  EXPECT_NO_THROW(session.close());
  EXPECT_EQ(err.str(), "");
}

}  // namespace
}  // namespace vktrain::app
