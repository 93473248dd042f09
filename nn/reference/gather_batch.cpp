#include "nn/reference/gather_batch.h"

#include "nn/rng.h"

namespace vktrain::nn::reference {
namespace {

struct Pixel {
  std::int64_t row, column;
};

// One image's random changes.
struct Transform {
  bool flip = false;
  Pixel shift{0, 0};
  Pixel crop{0, 0};  // the crop's corner, against the image before padding
};

// Evenly from -limit to limit.
std::int64_t offset(std::uint32_t word, std::int64_t limit) {
  const auto choices = static_cast<std::uint64_t>(2 * limit + 1);
  return static_cast<std::int64_t>(word * choices >> 32) - limit;
}

Transform draw(const ImageDraws& draws, std::uint32_t position) {
  constexpr auto kUse = static_cast<std::uint32_t>(RandomUse::augmentation);
  const auto first = philox4x32({position, draws.step, 0, kUse}, draws.seed);
  const auto second = philox4x32({position, draws.step, 1, kUse}, draws.seed);
  return {
      .flip = static_cast<double>(first[0] >> 8) * 0x1p-24 < double{draws.horizontal_flip},
      .shift = {offset(first[1], draws.shift), offset(first[2], draws.shift)},
      .crop = {offset(second[0], draws.crop_padding), offset(second[1], draws.crop_padding)},
  };
}

bool inside(const Pixel& pixel, const GatherBatchSizes& sizes) {
  return pixel.row >= 0 && pixel.row < sizes.height && pixel.column >= 0 &&
         pixel.column < sizes.width;
}

// Where a pixel of the changed image comes from: backwards through mirror, crop and shift.
bool source_of(Pixel& pixel, const Transform& transform, const GatherBatchSizes& sizes) {
  if (transform.flip) pixel.column = sizes.width - 1 - pixel.column;
  pixel.row += transform.crop.row;
  pixel.column += transform.crop.column;
  if (!inside(pixel, sizes)) return false;
  pixel.row -= transform.shift.row;
  pixel.column -= transform.shift.column;
  return inside(pixel, sizes);
}

}  // namespace

void gather_batch(const GatherBatchSizes& sizes, const ImageDraws& draws,
                  std::span<const double> images, std::span<const double> labels,
                  std::span<const double> indices, std::span<double> x,
                  std::span<double> batch_labels) {
  const std::int64_t plane = sizes.height * sizes.width, pixels = sizes.channels * plane;
  const std::int64_t words = (pixels + 3) / 4;
  for (std::int64_t n = 0; n < sizes.batch; ++n) {
    const auto image =
        static_cast<std::int64_t>(indices[static_cast<std::size_t>(sizes.first + n)]);
    const Transform transform = draw(draws, static_cast<std::uint32_t>(n));
    batch_labels[static_cast<std::size_t>(n)] = labels[static_cast<std::size_t>(image)];
    for (std::int64_t i = 0; i < pixels; ++i) {
      Pixel pixel{i % plane / sizes.width, i % sizes.width};
      double byte = 0;
      if (source_of(pixel, transform, sizes)) {
        const std::int64_t source = i / plane * plane + pixel.row * sizes.width + pixel.column;
        const auto word = static_cast<std::uint32_t>(
            images[static_cast<std::size_t>(image * words + source / 4)]);
        byte = (word >> (8 * (source % 4))) & 255u;
      }
      x[static_cast<std::size_t>(n * pixels + i)] = (byte / 255.0 - sizes.mean) / sizes.std;
    }
  }
}

void gather_placed(const PlacedImages& sizes, std::span<const double> images,
                   std::span<const double> places, std::span<double> x) {
  for (std::size_t row = 0; row < places.size(); ++row) {
    const std::int64_t image = static_cast<std::int64_t>(places[row]) / sizes.stride;
    for (std::int64_t i = 0; i < sizes.elements; ++i) {
      const auto word =
          static_cast<std::uint32_t>(images[static_cast<std::size_t>(image * sizes.words + i / 4)]);
      const std::uint32_t byte = word >> (8 * (i % 4)) & 255u;
      x[row * static_cast<std::size_t>(sizes.elements) + static_cast<std::size_t>(i)] =
          (byte / 255.0 - sizes.mean) / sizes.std;
    }
  }
}

}  // namespace vktrain::nn::reference
