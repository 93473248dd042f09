// The data set on the device: training images, then test images, as bytes, with their labels.
#pragma once

#include <cstdint>
#include <map>

#include "nn/data/image_set.h"
#include "nn/ops/gather_batch.h"
#include "runtime/memory.h"

namespace vktrain::nn {

class DeviceDataset {
 public:
  // Throws Error when the sets differ in image size, or are larger than the device can bind.
  DeviceDataset(runtime::Device& device, const ImageSet& train, const ImageSet& test);

  std::int64_t count() const { return train_count_ + test_count_; }
  std::int64_t test_count() const { return test_count_; }
  // Indices of the test images among all.
  std::vector<std::uint32_t> test_indices() const;

  // Binds the graph's data set values (images and labels) to this memory.
  void bind(const DatasetInputs& inputs, std::map<ValueId, runtime::Slice>& externals) const;

 private:
  std::int64_t train_count_;
  std::int64_t test_count_;
  runtime::Arena arena_;
  runtime::Slice images_;
  runtime::Slice labels_;
};

}  // namespace vktrain::nn
