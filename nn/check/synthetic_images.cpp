#include "nn/check/synthetic_images.h"

#include "nn/rng.h"

namespace vktrain::nn {

ImageSet noisy_images(std::int64_t count, std::int64_t side, std::uint64_t seed) {
  ImageSet set;
  set.count = count;
  set.height = side;
  set.width = side;
  set.classes = 10;
  PhiloxRng rng(seed);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t label = rng.below(10);
    set.labels.push_back(static_cast<std::uint8_t>(label));
    for (std::uint32_t pixel = 0; pixel < static_cast<std::uint32_t>(side * side); ++pixel) {
      const std::uint32_t noise = rng.below(140);
      set.pixels.push_back(static_cast<std::uint8_t>(pixel == 2 * label ? noise + 100 : noise));
    }
  }
  return set;
}

}  // namespace vktrain::nn
