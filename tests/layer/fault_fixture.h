// Tests of a driver that fails: the fault layer is between the loader and the driver, the
// validation layer is off, and after each test nothing may be left of what the driver gave.
//
// VKTRAIN_TEST_DEVICE chooses the device (default "auto").
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/device.h"
#include "tests/layer/fault_layer.h"
#include "tests/support/scoped_variable.h"

namespace vktrain::testing {

class FaultGuard {
 public:
  FaultGuard() { layer().reset(); }
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

  static FaultLayer& layer() { return FaultLayer::get(); }

 private:
  ScopedVariable path_{"VK_LAYER_PATH", VKTRAIN_LAYER_FOLDER};
  ScopedVariable added_{"VK_ADD_LAYER_PATH", nullptr};
  ScopedVariable layers_{"VK_INSTANCE_LAYERS", "VK_LAYER_VKTRAIN_fault"};
  // Mesa's layer above ours crashes when there is no device. The second variable is for new
  // loaders.
  ScopedVariable device_select_{"NODEVICE_SELECT", "1"};
  ScopedVariable implicit_{"VK_LOADER_LAYERS_DISABLE", "~implicit~"};
  ScopedVariable validation_{"VKTRAIN_TEST_VALIDATION", "0"};
  ScopedVariable limits_{"VKTRAIN_LIMITS", nullptr};  // faults are those of the driver as it is
};

// Fails the test when objects of the driver live or were destroyed wrongly.
void expect_all_released(const std::string& when);

// A result for one call of one function, the `number`-th.
FaultHooks fail_once(std::string function, std::uint64_t number, VkResult result);
// The device is lost in that call and stays lost.
FaultHooks lose_device(std::string function, std::uint64_t number);

// Whether a module is that shader, whatever values its constants were given.
bool is_shader(std::span<const std::uint32_t> module, std::string_view name);

class FaultTest : public ::testing::Test {
 protected:
  static FaultLayer& layer() { return FaultLayer::get(); }
  static std::string selector();
  static std::unique_ptr<runtime::Device> open();

 private:
  FaultGuard guard_;
};

}  // namespace vktrain::testing
