// The layer switched on by the loader's environment variables, and what most tests inject.
#include "tests/layer/fault_fixture.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

#include "runtime/kernel.h"
#include "runtime/spirv.h"

namespace vktrain::testing {
namespace {

// Without what becomes plain where constants get their values.
std::vector<std::uint32_t> without_constants(std::span<const std::uint32_t> code) {
  namespace spirv = runtime::spirv;
  std::vector<std::uint32_t> rest;
  spirv::for_each_instruction(code, [&rest](spirv::Words words) {
    const std::uint32_t opcode = spirv::opcode(words);
    if (opcode >= spirv::kConstantTrue && opcode <= spirv::kSpecConstantOp) return;
    if (opcode == spirv::kDecorate && words[2] == spirv::kDecorationSpecId) return;
    rest.insert(rest.end(), words.begin(), words.end());
  });
  return rest;
}

}  // namespace

bool is_shader(std::span<const std::uint32_t> module, std::string_view name) {
  return std::ranges::equal(without_constants(module),
                            without_constants(runtime::shader_code(name)));
}

void expect_all_released(const std::string& when) {
  for (const std::string& line : FaultLayer::get().living()) ADD_FAILURE() << when << ": " << line;
  for (const std::string& line : FaultLayer::get().problems()) {
    ADD_FAILURE() << when << ": " << line;
  }
}

FaultGuard::~FaultGuard() {
  EXPECT_GT(layer().calls("vkCreateInstance"), 0u) << "the layer was not loaded";
  expect_all_released("after the test");
  layer().reset();
}

FaultHooks fail_once(std::string function, std::uint64_t number, VkResult result) {
  FaultHooks hooks;
  hooks.on_call = [=](const FaultCall& call) {
    return call.function == function && call.number == number ? result : VK_SUCCESS;
  };
  return hooks;
}

FaultHooks lose_device(std::string function, std::uint64_t number) {
  static const std::set<std::string_view> kNotice = {"vkDeviceWaitIdle", "vkGetQueryPoolResults",
                                                     "vkQueueSubmit", "vkWaitForFences"};
  FaultHooks hooks;
  hooks.on_call = [=, lost = false](const FaultCall& call) mutable {
    lost = lost || (call.function == function && call.number == number);
    return lost && kNotice.contains(call.function) ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;
  };
  return hooks;
}

std::string FaultTest::selector() {
  const char* device = std::getenv("VKTRAIN_TEST_DEVICE");
  return device != nullptr ? device : "auto";
}

std::unique_ptr<runtime::Device> FaultTest::open() {
  return runtime::Device::open({.selector = selector(), .pipeline_cache = false});
}

}  // namespace vktrain::testing
