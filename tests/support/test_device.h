// Which device the tests use: VKTRAIN_TEST_DEVICE, default "auto". With "none" every test that asks
// for a device is skipped, which leaves the tests for machines and emulators without Vulkan.
#pragma once

#include <string>

namespace vktrain::testing {

// The selector. With "none" marks the running test as skipped and leaves it by an exception, which
// GoogleTest catches: call it where nothing else catches exceptions.
std::string test_device();

}  // namespace vktrain::testing
