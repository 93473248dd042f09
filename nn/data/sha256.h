// SHA-256 (FIPS 180-4), of bytes as they come and of a file's content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

struct evp_md_ctx_st;

namespace vktrain::nn {

class Sha256 {
 public:
  Sha256();

  void update(std::span<const std::uint8_t> bytes);
  std::string hex_digest();  // 64 lower-case digits; ends the computation

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// Digest of the content: of the decompressed bytes where the file is gzip, of the bytes as they are
// otherwise. So a data set keeps its digest when somebody compresses it again. Throws Error for a
// missing, damaged or truncated file.
std::string content_sha256(const std::filesystem::path& path);

}  // namespace vktrain::nn
