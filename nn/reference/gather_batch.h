// Double-precision twin of nn/ops/gather_batch.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace vktrain::nn::reference {

struct GatherBatchSizes {
  std::int64_t batch = 0;
  std::int64_t channels = 0, height = 0, width = 0;  // of one image
  std::int64_t first = 0;  // position in `indices` of the batch's first image
  double mean = 0;
  double std = 1;
};

// What an image's random changes are drawn from; see nn/ops/gather_batch.h.
struct ImageDraws {
  float horizontal_flip = 0;  // probability
  std::int64_t shift = 0;
  std::int64_t crop_padding = 0;
  std::array<std::uint32_t, 2> seed{};
  std::uint32_t step = 0;
};

// images: words of four bytes, [count, ceil(pixels / 4)]; x: [batch, pixels].
void gather_batch(const GatherBatchSizes& sizes, const ImageDraws& draws,
                  std::span<const double> images, std::span<const double> labels,
                  std::span<const double> indices, std::span<double> x,
                  std::span<double> batch_labels);

// Images of which each begins at a place: a multiple of `stride`, the words between two.
struct PlacedImages {
  std::int64_t words = 0;     // of an image, in `images`
  std::int64_t stride = 0;    // at least as many
  std::int64_t elements = 0;  // pixels of all channels
  double mean = 0;
  double std = 1;
};

// x: [places, elements].
void gather_placed(const PlacedImages& sizes, std::span<const double> images,
                   std::span<const double> places, std::span<double> x);

}  // namespace vktrain::nn::reference
