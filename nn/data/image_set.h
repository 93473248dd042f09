// Labelled images of one size, as bytes: what goes to the device once and stays there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace vktrain::nn {

struct ImageSet {
  std::int64_t count = 0;
  std::int64_t channels = 1;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<std::uint8_t> pixels;  // [count, channels, height, width]
  std::vector<std::uint8_t> labels;  // [count], each in [0, classes)
  int classes = 0;

  std::int64_t pixels_per_image() const { return channels * height * width; }
};

// Reads IDX images [count, height, width] (or [count, channels, height, width]) and IDX labels
// [count]. Throws Error when either is not what it should be, a set is empty, the counts differ or
// a label is not below `classes`.
ImageSet read_image_set(const std::filesystem::path& images_path,
                        const std::filesystem::path& labels_path, int classes = 10);

}  // namespace vktrain::nn
