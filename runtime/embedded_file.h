// A file compiled into the program (see cmake/VktrainEmbed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace vktrain {

struct EmbeddedFile {
  std::string_view name;  // without folder and extension
  std::span<const unsigned char> bytes;

  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

}  // namespace vktrain
