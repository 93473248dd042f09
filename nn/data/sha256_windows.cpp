// See sha256.h. Windows' own cryptography (CNG, bcrypt.dll).
#include <windows.h>

#include "nn/data/sha256.h"
// After windows.h.
#include <bcrypt.h>

#include <algorithm>

#include "runtime/error.h"

namespace vktrain::nn {

namespace {

void require(NTSTATUS status) {
  if (status < 0) throw Error("SHA-256 is not available in this system's bcrypt.dll.");
}

struct CloseAlgorithm {
  void operator()(void* algorithm) const { ::BCryptCloseAlgorithmProvider(algorithm, 0); }
};
struct DestroyHash {
  void operator()(void* hash) const { ::BCryptDestroyHash(hash); }
};

}  // namespace

struct Sha256::State {
  std::unique_ptr<void, CloseAlgorithm> algorithm;
  std::unique_ptr<void, DestroyHash> hash;  // goes first
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  BCRYPT_ALG_HANDLE algorithm = nullptr;
  require(::BCryptOpenAlgorithmProvider(&algorithm, BCRYPT_SHA256_ALGORITHM, nullptr, 0));
  state_->algorithm.reset(algorithm);
  BCRYPT_HASH_HANDLE hash = nullptr;
  require(::BCryptCreateHash(algorithm, &hash, nullptr, 0, nullptr, 0, 0));
  state_->hash.reset(hash);
}
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kMost = 1U << 30;  // of one call, which counts in 32 bits
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), kMost));
    require(::BCryptHashData(state_->hash.get(), const_cast<PUCHAR>(part.data()),
                             static_cast<ULONG>(part.size()), 0));
    bytes = bytes.subspan(part.size());
  }
}

Sha256::Digest Sha256::finish() {
  Digest digest{};
  require(
      ::BCryptFinishHash(state_->hash.get(), digest.data(), static_cast<ULONG>(digest.size()), 0));
  return digest;
}

}  // namespace vktrain::nn
