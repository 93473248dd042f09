// Random numbers that depend on nothing but a seed, a stream and a position: Philox4x32-10 (Salmon,
// Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Integers and
// uniforms are the same bits on every platform; normal() goes through the platform's log, sin and
// cos and may differ in the last bit of a double.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace vktrain::nn {

// The block function, ten rounds.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

// What random numbers are for: uses never share a stream, so that a split does not change with the
// number of parameters or epochs. `index` (of the parameter, of the epoch) is below 2^32.
enum class RandomUse : std::uint32_t {
  initializer,
  split,
  shuffle,
  dropout,       // drawn on the device; see nn/ops/dropout.h
  augmentation,  // drawn on the device; see nn/ops/gather_batch.h
};

constexpr std::uint64_t random_stream(RandomUse use, std::uint64_t index = 0) {
  return static_cast<std::uint64_t>(use) << 32 | index;
}

// Key: the seed. Counter: the number of the block (low 64 bits), the stream (high 64 bits).
class PhiloxRng {
 public:
  explicit PhiloxRng(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  std::uint32_t next_u32();
  double uniform();                         // [0, 1), 53 random bits
  double uniform(double low, double high);  // [low, high)
  double normal();                          // N(0, 1), Box and Muller 1958
  std::uint32_t below(std::uint32_t n);     // [0, n) without bias; n > 0

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  unsigned used_ = 4;
  std::optional<double> spare_normal_;
};

}  // namespace vktrain::nn
