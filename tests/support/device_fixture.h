// A device for GPU tests, opened once per test program with the validation layer, and a fixture
// that fails a test on every message of the layer.
//
// VKTRAIN_TEST_DEVICE chooses the device (tests/support/test_device.h); VKTRAIN_TEST_VALIDATION
// what the layer checks (core, sync, gpu, best-practices; default sync), or with 0 turns it off
// where it is not installed or too slow.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>

#include "runtime/device.h"
#include "tests/support/test_device.h"

namespace vktrain::testing {

// Opened on first use; closed by a gtest environment after the last test, before static
// destructors run (the layer has its own).
runtime::Device& shared_device();

// Base of GPU tests. A class with an own TearDown must call this one.
class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  runtime::Device& device() { return shared_device(); }

 private:
  std::size_t messages_before_ = 0;
};

}  // namespace vktrain::testing
