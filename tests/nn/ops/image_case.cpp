#include "tests/nn/ops/image_case.h"

#include "runtime/error.h"

namespace vktrain::testing {

using namespace nn;

std::vector<ImageShape> odd_images(std::size_t count, std::uint64_t seed) {
  std::vector<ImageShape> images = {{2, 1, 1, 1},   {65, 9, 1, 1}, {1, 3, 2, 1}, {17, 5, 7, 7},
                                    {64, 4, 4, 4},  {3, 2, 1, 3},  {5, 6, 5, 5}, {65, 3, 12, 11},
                                    {63, 16, 1, 2}, {129, 3, 3, 3}};
  PhiloxRng rng(seed);
  const auto draw = [&](std::uint32_t largest) { return 1 + std::int64_t{rng.below(largest)}; };
  while (images.size() < count) {
    images.push_back({draw(65), draw(9), draw(12), draw(12)});
  }
  return images;
}

std::string error_of(const std::function<void()>& statement) {
  try {
    statement();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace vktrain::testing
