#include "nn/training/device_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Appends the images in the layout of DatasetInputs::images: rows of whole words, row stride a
// multiple of four words.
void append_images(const ImageSet& set, std::vector<std::uint32_t>& words) {
  const auto pixels = static_cast<std::size_t>(set.pixels_per_image());
  const auto stride = static_cast<std::size_t>(
      layout_of({set.count, divide_up(set.pixels_per_image(), 4)}).row_stride);
  for (std::size_t image = 0; image < static_cast<std::size_t>(set.count); ++image) {
    const std::size_t row = words.size();
    words.resize(row + stride, 0);
    for (std::size_t i = 0; i < pixels; ++i) {
      words[row + i / 4] |= std::uint32_t{set.pixels[image * pixels + i]} << (8 * (i % 4));
    }
  }
}

runtime::Slice upload_words(runtime::Device& device, runtime::Arena& arena,
                            std::span<const std::uint32_t> words, const char* name) {
  const std::uint64_t limit = device.profile().max_storage_range;
  if (words.size_bytes() > limit) {
    throw Error(
        fmt::format("the {} of the data set take {} MiB on the device, but {} binds at most "
                    "{} MiB at once; use fewer or smaller images",
                    name, words.size_bytes() >> 20, device.profile().name, limit >> 20));
  }
  const runtime::Slice slice = arena.allocate(words.size_bytes(), name);
  device.upload(slice, std::as_bytes(words));
  return slice;
}

}  // namespace

DeviceDataset::DeviceDataset(runtime::Device& device, const ImageSet& train, const ImageSet& test)
    : train_count_(train.count), test_count_(test.count), arena_(device, "data set") {
  if (train.channels != test.channels || train.height != test.height || train.width != test.width) {
    throw Error(fmt::format("training images are {}x{}x{}, test images {}x{}x{}; they must agree",
                            train.channels, train.height, train.width, test.channels, test.height,
                            test.width));
  }
  std::vector<std::uint32_t> words, labels;
  append_images(train, words);
  append_images(test, words);
  labels.assign(train.labels.begin(), train.labels.end());
  labels.insert(labels.end(), test.labels.begin(), test.labels.end());
  images_ = upload_words(device, arena_, words, "images");
  labels_ = upload_words(device, arena_, labels, "labels");
}

std::vector<std::uint32_t> DeviceDataset::test_indices() const {
  std::vector<std::uint32_t> indices(static_cast<std::size_t>(test_count_));
  std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(train_count_));
  return indices;
}

void DeviceDataset::bind(const DatasetInputs& inputs,
                         std::map<ValueId, runtime::Slice>& externals) const {
  externals[inputs.images] = images_;
  externals[inputs.labels] = labels_;
}

}  // namespace vktrain::nn
