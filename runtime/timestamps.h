// GPU timestamps around the dispatches of one command buffer. Private to the runtime room.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/logical_device.h"

namespace vktrain::runtime {

// Nanoseconds a tick times the ticks from `begin` to `end`, in seconds. Only the lowest
// `valid_bits` of a timestamp count; they may wrap around once in between.
double elapsed_seconds(std::uint64_t begin, std::uint64_t end, std::uint32_t valid_bits,
                       double nanoseconds_a_tick);

class Timestamps {
 public:
  Timestamps(const LogicalDevice& device, double nanoseconds_a_tick, std::size_t dispatches);

  void reset(VkCommandBuffer commands) const;
  void begin(VkCommandBuffer commands, std::size_t dispatch) const;
  void end(VkCommandBuffer commands, std::size_t dispatch) const;

  // Reads the timestamps of a replay that has ended and adds them up. The first `kept` replays are
  // also kept one by one. Returns the driver's error; then nothing is added.
  [[nodiscard]] VkResult accumulate(std::uint64_t kept);

  std::uint64_t calls() const { return calls_; }
  double seconds(std::size_t dispatch) const { return seconds_[dispatch]; }

  // In seconds since the first dispatch of the first replay began.
  struct Span {
    double begin = 0;
    double end = 0;
  };
  // Of the replays that were kept, one after the other: a span for each dispatch, by its number.
  const std::vector<Span>& spans() const { return spans_; }

 private:
  const LogicalDevice* device_;
  double nanoseconds_a_tick_;
  std::vector<double> seconds_;
  std::uint64_t calls_ = 0;
  std::uint64_t origin_ = 0;  // ticks
  std::vector<Span> spans_;
  OwnedQueryPool pool_;
};

}  // namespace vktrain::runtime
