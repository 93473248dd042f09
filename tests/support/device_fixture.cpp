// The shared device as a gtest environment.
#include "tests/support/device_fixture.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/error.h"
#include "tests/support/sanitizer_suppressions.h"
#include "tests/support/validation_exceptions.h"

namespace vktrain::testing {
namespace {

void choose_validation(runtime::DeviceOptions& options) {
  const char* variable = std::getenv("VKTRAIN_TEST_VALIDATION");
  const std::string text = variable ? variable : "sync";
  options.validate = text != "0";
  if (!options.validate || text == "1") return;
  const auto checks = runtime::parse_validation_checks(text);
  if (!checks) {
    throw UsageError(
        "VKTRAIN_TEST_VALIDATION must be one of 0, core, sync, gpu, best-practices, "
        "but it is '" +
        text + "'.");
  }
  options.checks = *checks;
}

class DeviceEnvironment : public ::testing::Environment {
 public:
  runtime::Device& device() {
    if (!device_) {
      runtime::DeviceOptions options;
      options.selector = test_device();
      choose_validation(options);
      options.on_validation_message = [this](std::string_view message) {
        // Messages in between are a test's.
        if ((!device_ || closing_) && !is_excepted(message)) {
          ADD_FAILURE() << "while the device was opened or closed: " << message;
        }
      };
      device_ = runtime::Device::open(options);
    }
    return *device_;
  }

  void SetUp() override {
    if (!kAddressSanitizer) return;
    try {
      device();
    } catch (const Error&) {
      return;  // the tests that need a device will say so
    }
    keep_libraries_mapped();
  }

  // Leaked Vulkan objects are reported when the device closes.
  void TearDown() override {
    closing_ = true;
    device_.reset();
    closing_ = false;
  }

 private:
  std::unique_ptr<runtime::Device> device_;
  bool closing_ = false;
};

// gtest owns environments and keeps them until the program ends.
DeviceEnvironment* const environment = static_cast<DeviceEnvironment*>(
    ::testing::AddGlobalTestEnvironment(std::make_unique<DeviceEnvironment>().release()));

}  // namespace

runtime::Device& shared_device() { return environment->device(); }

void DeviceTest::SetUp() { messages_before_ = device().validation_messages().size(); }

void DeviceTest::TearDown() {
  const auto messages = device().validation_messages();
  for (std::size_t i = messages_before_; i < messages.size(); ++i) {
    if (!is_excepted(messages[i])) ADD_FAILURE() << "validation: " << messages[i];
  }
}

}  // namespace vktrain::testing
