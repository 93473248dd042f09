// See sha256.h: what is the same on every system.
#include "nn/data/sha256.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "nn/io/gz_reader.h"

namespace vktrain::nn {

std::string Sha256::hex_digest() {
  std::string text;
  for (const std::uint8_t byte : finish()) text += fmt::format("{:02x}", byte);
  return text;
}

std::string content_sha256(const std::filesystem::path& path) {
  GzReader file(path);
  Sha256 hash;
  std::vector<std::uint8_t> buffer(std::size_t{1} << 20);
  std::size_t got = buffer.size();
  while (got == buffer.size()) {
    got = file.read(buffer);
    hash.update(std::span(buffer).first(got));
  }
  return hash.hex_digest();
}

}  // namespace vktrain::nn
