// The compiled shaders of tests/runtime/shaders (generated source in the build folder).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/embedded_file.h"

namespace vktrain::testing {

std::span<const EmbeddedFile> test_shaders();

inline std::span<const std::uint32_t> test_shader(std::string_view name) {
  const auto files = test_shaders();
  const auto found = std::ranges::find(files, name, &EmbeddedFile::name);
  return {reinterpret_cast<const std::uint32_t*>(found->bytes.data()), found->bytes.size() / 4};
}

}  // namespace vktrain::testing
