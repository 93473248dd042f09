// Makes a batch on the device from the data set, which lives there as bytes.
#pragma once

#include <memory>
#include <vector>

#include "nn/operation.h"
#include "nn/ops/step_state.h"

namespace vktrain::nn {

// The data set on the device; external values of the graph.
struct DatasetInputs {
  ValueId images = kNoValue;   // [count, words] u32, shared; 4 pixels a word, the first lowest
  ValueId labels = kNoValue;   // [count] u32, shared
  ValueId indices = kNoValue;  // [length] u32; the epoch's order of images, per replica
  Shape image_shape;           // [channels, height, width]
};

// `count` images in the data set, `length` indices in an epoch.
DatasetInputs add_dataset_inputs(Graph& graph, const Shape& image_shape, std::int64_t count,
                                 std::int64_t length);

struct Normalization {
  double mean = 0;
  double std = 1;
};

struct Batch {
  ValueId x = kNoValue;       // [batch, channels, height, width], (byte / 255 - mean) / std
  ValueId labels = kNoValue;  // [batch] u32
  ValueId places = kNoValue;  // [batch] u32: written instead of x, see GatheredBatch
};

class GatherBatch;
struct PlannedBinding;

// A batch whose images products read in the data set, so that x is not stored: on CPU drivers
// stores cost more than products.
struct GatheredBatch {
  ValueId images = kNoValue;  // of DatasetInputs
  ValueId places = kNoValue;  // [batch] u32: where in `images` each begins, in texels of 4 bytes
  Normalization normalization;
  std::shared_ptr<const GatherBatch> storing;  // the operation that stores x

  // x in scratch memory of the operation that is lowered, for kernels that read floats. Finds the
  // step's images again, so that the operation has to stand before end_step.
  PlannedBinding store(Lowering& lowering) const;
  std::vector<double> reference(const ReferenceMemory& memory) const;  // x
};

// Random changes to every image: it is moved by a number of pixels drawn evenly from -shift to
// shift down and another to the right, then padded by `crop_padding` pixels and cropped back to its
// size at a random place, then mirrored from left to right with the probability `horizontal_flip`.
// Pixels from outside are 0 bytes.
struct Augmentation {
  double horizontal_flip = 0;
  std::int64_t shift = 0;
  std::int64_t crop_padding = 0;

  bool any() const { return horizontal_flip > 0 || shift > 0 || crop_padding > 0; }
};

// Step s of the epoch takes the indices [s * batch_stride, s * batch_stride + batch): with
// batch_stride = the full batch size, a last, smaller batch continues where the full ones ended.
// Augmentation is for training alone. Image n of a batch draws from Philox4x32-10 with the
// replica's seed as key and the counters (n, step since the start of the training, 0 or 1,
// RandomUse::augmentation): words 0 to 2 of the first are flip, shift down and shift right, words 0
// and 1 of the second the place of the crop. Throws Error when a setting is out of range.
Batch gather_batch(Graph& graph, const DatasetInputs& dataset, const StepInputs& step,
                   const Normalization& normalization, std::int64_t batch_stride,
                   const Augmentation& augmentation = {});

class GatherBatch : public Operation {
 public:
  GatherBatch(const DatasetInputs& dataset, const StepInputs& step, const Batch& batch,
              const Normalization& normalization, std::int64_t batch_stride,
              const Augmentation& augmentation);
  std::string_view kind() const override { return "gather_batch"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return batch_.x; }
  bool augments() const { return augmentation_.any(); }
  bool has_places() const { return batch_.places != kNoValue; }
  // The same operation, which writes places instead of x.
  std::unique_ptr<GatherBatch> with_places(Graph& graph) const;
  GatheredBatch gathered() const;  // of one with places

 private:
  friend struct GatheredBatch;
  void store(Lowering& lowering, const PlannedBinding& x, const PlannedBinding& labels) const;
  void lower_places(Lowering& lowering) const;

  DatasetInputs dataset_;
  StepInputs step_;
  Batch batch_;
  Normalization normalization_;
  std::int64_t batch_stride_;
  Augmentation augmentation_;
};

}  // namespace vktrain::nn
