// See sha256.h.
#include "nn/data/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <vector>

#include "nn/io/gz_reader.h"
#include "runtime/error.h"

namespace vktrain::nn {

namespace {

void require(int ok) {
  if (ok != 1) throw Error("SHA-256 is not available in this system's OpenSSL.");
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  require(context_ != nullptr);
  require(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

void Sha256::update(std::span<const std::uint8_t> bytes) {
  require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

std::string Sha256::hex_digest() {
  std::array<std::uint8_t, 32> digest{};
  require(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr));
  std::string text;
  for (const std::uint8_t byte : digest) text += fmt::format("{:02x}", byte);
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
