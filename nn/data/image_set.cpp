// See image_set.h.
#include "nn/data/image_set.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "nn/data/idx.h"
#include "runtime/error.h"

namespace vktrain::nn {

namespace {

void check_dims(const IdxArray& images, const std::filesystem::path& images_path,
                const IdxArray& labels, const std::filesystem::path& labels_path) {
  if (images.dims.size() != 3 && images.dims.size() != 4) {
    throw Error(
        fmt::format("'{}' does not hold images: expected dimensions [count, height, width], "
                    "found [{}].",
                    images_path.string(), fmt::join(images.dims, ", ")));
  }
  if (images.bytes.empty()) {
    throw Error(
        fmt::format("'{}' holds no pixels: expected at least one image, found dimensions [{}].",
                    images_path.string(), fmt::join(images.dims, ", ")));
  }
  if (labels.dims.size() != 1) {
    throw Error(fmt::format("'{}' does not hold labels: expected dimensions [count], found [{}].",
                            labels_path.string(), fmt::join(labels.dims, ", ")));
  }
  if (images.dims[0] != labels.dims[0]) {
    throw Error(fmt::format("'{}' and '{}' don't belong together: {} images, but {} labels.",
                            images_path.string(), labels_path.string(), images.dims[0],
                            labels.dims[0]));
  }
}

}  // namespace

ImageSet read_image_set(const std::filesystem::path& images_path,
                        const std::filesystem::path& labels_path, int classes) {
  IdxArray images = read_idx(images_path);
  IdxArray labels = read_idx(labels_path);
  check_dims(images, images_path, labels, labels_path);

  const auto bad = std::ranges::find_if(labels.bytes, [&](int label) { return label >= classes; });
  if (bad != labels.bytes.end()) {
    throw Error(
        fmt::format("'{}' has a label out of range: expected 0 to {}, found {} for image {}.",
                    labels_path.string(), classes - 1, int{*bad}, bad - labels.bytes.begin()));
  }

  const std::size_t rank = images.dims.size();
  ImageSet set;
  set.count = images.dims[0];
  set.channels = rank == 4 ? images.dims[1] : 1;
  set.height = images.dims[rank - 2];
  set.width = images.dims[rank - 1];
  set.pixels = std::move(images.bytes);
  set.labels = std::move(labels.bytes);
  set.classes = classes;
  return set;
}

}  // namespace vktrain::nn
