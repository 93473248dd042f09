// Host side of shaders/plane_walk.glsl and shaders/channel_parts.glsl: kernels for [batch, C, H, W]
// (or [batch, C], with planes of one value). In the first, an invocation takes one vec4 column and
// walks down a chunk of rows; in the second, a workgroup takes a channel and sums what the first
// left per chunk and column.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/lowering.h"

namespace vktrain::nn::plane_walk {

// Mirrors Planes of shaders/plane_walk.glsl.
struct Planes {
  std::uint32_t rows;
  std::uint32_t row_stride;  // in vec4
  std::uint32_t chunk_rows;
  std::uint32_t plane;  // H * W
  std::uint32_t channels;

  std::uint32_t chunks() const { return (rows + chunk_rows - 1) / chunk_rows; }
  std::int64_t columns() const { return std::int64_t{channels} * plane; }
  std::int64_t row_elements() const { return std::int64_t{row_stride} * 4; }
  std::int64_t size() const { return rows * row_elements(); }
  // Elements of one vec4 per chunk and column.
  std::int64_t part_size() const { return chunks() * row_elements(); }
  // vec4 parts that hold columns of one channel, at most.
  std::int64_t most_items() const { return chunks() * (std::int64_t{plane} / 4 + 2); }
  std::int64_t channel_stride() const { return round_up(channels, 4); }
  // Values of a channel.
  double values() const { return static_cast<double>(rows) * plane; }
};

Planes planes_of(const Lowering& lowering, ValueId x);

// The same rows in short chunks, for kernels that write whole values: where rows are long, each row
// of a chunk is on a page of its own, and a CPU writes best to few of them at a time (lavapipe,
// biases of [512, 16, 28, 28]: 68 ms with 64 rows, 18 with 16, 11 with 8; short rows do not care).
Planes for_writing(const Planes& planes);

// Walks over the rows in chunks. `constants` are those of the kernel itself, from number 2 on.
PlannedDispatch walk(const Planes& planes, std::string shader,
                     const std::vector<std::uint32_t>& constants = {});

// One workgroup a channel, padding included, that walks over the channel's parts `walks` times.
PlannedDispatch per_channel(const Lowering& lowering, const Planes& planes, std::string shader,
                            std::int64_t walks);

// Replica stride, in elements, of a scratch memory of so many elements.
inline std::uint32_t scratch_stride(std::int64_t elements) {
  return to_u32(round_up(elements, kAlignmentElements));
}

}  // namespace vktrain::nn::plane_walk
