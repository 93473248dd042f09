#include "nn/reference/gather_batch.h"

namespace vktrain::nn::reference {

void gather_batch(const GatherBatchSizes& sizes, std::span<const double> images,
                  std::span<const double> labels, std::span<const double> indices,
                  std::span<double> x, std::span<double> batch_labels) {
  const std::int64_t words = (sizes.pixels + 3) / 4;
  for (std::int64_t row = 0; row < sizes.batch; ++row) {
    const auto image =
        static_cast<std::int64_t>(indices[static_cast<std::size_t>(sizes.first + row)]);
    batch_labels[static_cast<std::size_t>(row)] = labels[static_cast<std::size_t>(image)];
    for (std::int64_t pixel = 0; pixel < sizes.pixels; ++pixel) {
      const auto word =
          static_cast<std::uint32_t>(images[static_cast<std::size_t>(image * words + pixel / 4)]);
      const double byte = (word >> (8 * (pixel % 4))) & 255u;
      x[static_cast<std::size_t>(row * sizes.pixels + pixel)] =
          (byte / 255.0 - sizes.mean) / sizes.std;
    }
  }
}

}  // namespace vktrain::nn::reference
