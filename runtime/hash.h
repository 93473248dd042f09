// FNV-1a of 64 bits (Fowler, Noll, Vo; RFC 9923): tells damage and difference, not malice. Every
// change of a single byte changes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace vktrain::runtime {

class Hash64 {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) {
      value_ = (value_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3ULL;
    }
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

inline std::uint64_t hash64(std::string_view text) {
  Hash64 hash;
  hash.add(text);
  return hash.value();
}

}  // namespace vktrain::runtime
