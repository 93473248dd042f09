// A folder that a test may fill, gone when the test ends; and bytes written to its files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/platform.h"

namespace vktrain::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    const std::string name = "vktrain-test-" + std::to_string(process_id()) + "-";
    const std::filesystem::path base = std::filesystem::temp_directory_path();
    // False where a folder of this name is there; other trouble throws.
    for (int number = 0; path_.empty(); ++number) {
      const std::filesystem::path path = base / (name + std::to_string(number));
      if (std::filesystem::create_directory(path)) path_ = path;
    }
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / path_of(name); }

  // Names of the files in it, to see that nothing was left behind.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline std::filesystem::path write_bytes(const std::filesystem::path& path,
                                         std::span<const std::uint8_t> bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  if (!stream) throw std::runtime_error("cannot write " + path.string());
  return path;
}

inline std::vector<std::uint8_t> file_bytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  return {text.begin(), text.end()};
}

}  // namespace vktrain::testing
