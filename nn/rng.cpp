// See rng.h. Constants of Philox4x32: table 2 of the paper.
#include "nn/rng.h"

#include <cmath>
#include <numbers>

namespace vktrain::nn {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

std::uint32_t PhiloxRng::next_u32() {
  if (used_ == words_.size()) {
    words_ =
        philox4x32({static_cast<std::uint32_t>(block_), static_cast<std::uint32_t>(block_ >> 32),
                    static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                   {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
    ++block_;
    used_ = 0;
  }
  return words_[used_++];
}

double PhiloxRng::uniform() {
  const std::uint64_t high = next_u32();
  const std::uint64_t low = next_u32();
  return static_cast<double>((high << 32 | low) >> 11) * 0x1p-53;
}

double PhiloxRng::uniform(double low, double high) {
  const double value = low + (high - low) * uniform();
  // The sum may round up to `high`.
  return value < high ? value : std::nextafter(high, low);
}

double PhiloxRng::normal() {
  if (spare_normal_) {
    const double value = *spare_normal_;
    spare_normal_.reset();
    return value;
  }
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));  // 1 - u is in (0, 1]
  const double angle = 2.0 * std::numbers::pi * uniform();
  spare_normal_ = radius * std::sin(angle);
  return radius * std::cos(angle);
}

// Lemire: "Fast random integer generation in an interval", 2019.
std::uint32_t PhiloxRng::below(std::uint32_t n) {
  std::uint64_t product = std::uint64_t{next_u32()} * n;
  if (static_cast<std::uint32_t>(product) < n) {
    const std::uint32_t threshold = (0U - n) % n;  // 2^32 mod n
    while (static_cast<std::uint32_t>(product) < threshold) {
      product = std::uint64_t{next_u32()} * n;
    }
  }
  return static_cast<std::uint32_t>(product >> 32);
}

}  // namespace vktrain::nn
