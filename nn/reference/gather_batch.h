// Double-precision twin of nn/ops/gather_batch.
#pragma once

#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

struct GatherBatchSizes {
  std::int64_t batch = 0;
  std::int64_t pixels = 0;  // of one image
  std::int64_t first = 0;   // position in `indices` of the batch's first image
  double mean = 0;
  double std = 1;
};

// images: words of four bytes, [count, ceil(pixels / 4)]; x: [batch, pixels].
void gather_batch(const GatherBatchSizes& sizes, std::span<const double> images,
                  std::span<const double> labels, std::span<const double> indices,
                  std::span<double> x, std::span<double> batch_labels);

}  // namespace vktrain::nn::reference
