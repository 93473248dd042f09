// Images for trainings without a data set, the same on every platform.
#pragma once

#include <cstdint>

#include "nn/data/image_set.h"

namespace vktrain::nn {

// side x side images of ten classes that a small network can learn: noise, and a bright pixel that
// tells the class. `side` is at least 5.
ImageSet noisy_images(std::int64_t count, std::int64_t side, std::uint64_t seed);

}  // namespace vktrain::nn
