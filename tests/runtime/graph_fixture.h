// Shorthand for tests that run the test shaders.
#pragma once

#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "runtime/command_graph.h"
#include "runtime/kernel.h"
#include "runtime/memory.h"
#include "tests/runtime/test_shaders.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {

inline void add_test_shaders(runtime::Device& device) {
  for (const EmbeddedFile& file : test_shaders()) {
    // Embedded files are aligned to 16 bytes.
    device.kernels().add_shader(
        std::string(file.name),
        {reinterpret_cast<const std::uint32_t*>(file.bytes.data()), file.bytes.size() / 4});
  }
}

class GraphTest : public DeviceTest {
 protected:
  // The shared device has the test shaders from its first graph test on.
  void SetUp() override {
    DeviceTest::SetUp();
    static const bool added = (add_test_shaders(device()), true);
    ASSERT_TRUE(added);
  }

  template <typename T>
  runtime::Slice make_slice(const std::vector<T>& values, const std::string& name) {
    const runtime::Slice slice = arena_.allocate(values.size() * sizeof(T), name);
    device().upload(slice, std::as_bytes(std::span(values)));
    return slice;
  }

  template <typename T>
  std::vector<T> read(const runtime::Slice& slice) {
    std::vector<T> values(slice.size / sizeof(T));
    device().download(slice, std::as_writable_bytes(std::span(values)));
    return values;
  }

  static std::vector<std::byte> push(std::initializer_list<std::uint32_t> words) {
    std::vector<std::byte> bytes(words.size() * 4);
    std::memcpy(bytes.data(), words.begin(), bytes.size());
    return bytes;
  }

  // A dispatch of add_constant or multiply_add over all of y. `constant` is the addend or factor.
  static runtime::Dispatch elementwise(const std::string& shader, std::uint32_t constant,
                                       const runtime::Slice& x, const runtime::Slice& y) {
    constexpr std::uint32_t kWorkgroup = 64;
    const auto count = static_cast<std::uint32_t>(y.size / 4);
    const bool reads_output = shader == "multiply_add";
    runtime::Dispatch dispatch;
    dispatch.label = shader + " into " + y.buffer->name();
    dispatch.kernel = {shader, {kWorkgroup, constant}};
    dispatch.bindings = {{x, runtime::Access::read},
                         {y, reads_output ? runtime::Access::read_write : runtime::Access::write}};
    dispatch.push = push({count});
    dispatch.groups = {(count + kWorkgroup - 1) / kWorkgroup, 1, 1};
    return dispatch;
  }

  runtime::Arena& arena() { return arena_; }

 private:
  runtime::Arena arena_{shared_device(), "test"};
};

}  // namespace vktrain::testing
