// SHA-256 (FIPS 180-4), of bytes as they come and of a file's content. The system's own library
// computes it (sha256_openssl.cpp, sha256_windows.cpp).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace vktrain::nn {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::uint8_t> bytes);
  std::string hex_digest();  // 64 lower-case digits; ends the computation

 private:
  using Digest = std::array<std::uint8_t, 32>;
  Digest finish();

  struct State;
  std::unique_ptr<State> state_;
};

// Digest of the content: of the decompressed bytes where the file is gzip, of the bytes as they are
// otherwise. So a data set keeps its digest when somebody compresses it again. Throws Error for a
// missing, damaged or truncated file.
std::string content_sha256(const std::filesystem::path& path);

}  // namespace vktrain::nn
