// How many turns the loops of one invocation take together, for devices that end them after so many
// (DeviceProfile::max_loop_turns). A loop of n turns counts n + 1: the turn that finds its end,
// too. Loops that are unrolled count nothing: those with a hint, and those over arrays of a fixed
// size, which drivers unroll to keep the arrays in registers. Other loops of a fixed number of
// turns count, although most drivers unroll short ones.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "nn/tensor.h"
#include "runtime/device_profile.h"

namespace vktrain::nn {

// Of the loop that adds up what so many lanes of a workgroup have, in pairs; a power of two.
constexpr std::int64_t lane_sum_turns(std::uint32_t lanes) { return std::bit_width(lanes); }

inline bool within_loop_limit(std::int64_t turns, const runtime::DeviceProfile& device) {
  return device.max_loop_turns == 0 || turns <= std::int64_t{device.max_loop_turns};
}

// Of an invocation that walks over many terms of a sum, and that is split where they are too many.
struct LoopTurns {
  std::int64_t step = 1;      // terms that a turn of the outer loop takes
  std::int64_t per_step = 1;  // turns of that, inner loops included
  std::int64_t others = 1;    // whatever the number of terms

  std::int64_t of(std::int64_t terms) const { return divide_up(terms, step) * per_step + others; }

  // Terms in whole steps that the device's limit leaves room for; one step where not even that has.
  std::int64_t most_terms(const runtime::DeviceProfile& device) const {
    constexpr std::int64_t kNoLimit = std::int64_t{1} << 40;
    if (device.max_loop_turns == 0) return kNoLimit;
    const std::int64_t room = std::int64_t{device.max_loop_turns} - others;
    return std::max<std::int64_t>(1, room / per_step) * step;
  }
};

}  // namespace vktrain::nn
