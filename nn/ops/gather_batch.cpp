#include "nn/ops/gather_batch.h"

#include <fmt/format.h>

#include "nn/lowering.h"
#include "nn/reference/gather_batch.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/gather_batch.comp.
struct Push {
  std::uint32_t batch, row_words, image_stride, batch_stride;
  std::uint32_t index_replica, state_replica, x_replica, label_replica;
  float scale, shift;
  std::uint32_t channels, height, width;
  float flip;
  std::uint32_t max_shift, crop_padding, hyperparameters_replica;
};

// Mirrors shaders/gather_places.comp.
struct PlacesPush {
  std::uint32_t batch, image_stride, batch_stride;
  std::uint32_t index_replica, state_replica, place_replica, label_replica;
};

constexpr std::uint32_t kHyperparameterWords = sizeof(Hyperparameters) / 4;

std::vector<ValueId> inputs_of(const DatasetInputs& dataset, const StepInputs& step,
                               const Augmentation& augmentation) {
  std::vector<ValueId> inputs = {dataset.images, dataset.labels, dataset.indices, step.state};
  if (augmentation.any()) inputs.push_back(step.hyperparameters);
  return inputs;
}

std::vector<ValueId> outputs_of(const Batch& batch) {
  std::vector<ValueId> outputs = {batch.x, batch.labels};
  if (batch.places != kNoValue) outputs.push_back(batch.places);
  return outputs;
}

void check(const Augmentation& augmentation, const Shape& image) {
  const double flip = augmentation.horizontal_flip;
  const auto require = [](bool good, std::string_view what, std::string_view range, auto found) {
    if (good) return;
    throw Error(
        fmt::format("[gather_batch] augmentation: expected {} {}, found {}", what, range, found));
  };
  require(flip >= 0 && flip <= 1, "a probability of a horizontal flip", "from 0 to 1", flip);
  require(augmentation.shift >= 0, "a shift", "of 0 or more pixels", augmentation.shift);
  require(augmentation.crop_padding >= 0, "a crop padding", "of 0 or more pixels",
          augmentation.crop_padding);
  require(!augmentation.any() || image.rank() == 3, "images", "of shape [channels, height, width]",
          to_string(image));
}

}  // namespace

DatasetInputs add_dataset_inputs(Graph& graph, const Shape& image_shape, std::int64_t count,
                                 std::int64_t length) {
  const std::int64_t words = divide_up(image_shape.elements(), 4);
  DatasetInputs inputs;
  inputs.images = graph.add_external("images", {count, words}, DType::u32, true);
  inputs.labels = graph.add_external("labels", {count}, DType::u32, true);
  inputs.indices = graph.add_external("indices", {length}, DType::u32, false);
  inputs.image_shape = image_shape;
  return inputs;
}

GatherBatch::GatherBatch(const DatasetInputs& dataset, const StepInputs& step, const Batch& batch,
                         const Normalization& normalization, std::int64_t batch_stride,
                         const Augmentation& augmentation)
    : Operation(inputs_of(dataset, step, augmentation), outputs_of(batch)),
      dataset_(dataset),
      step_(step),
      batch_(batch),
      normalization_(normalization),
      batch_stride_(batch_stride),
      augmentation_(augmentation) {}

Batch gather_batch(Graph& graph, const DatasetInputs& dataset, const StepInputs& step,
                   const Normalization& normalization, std::int64_t batch_stride,
                   const Augmentation& augmentation) {
  check(augmentation, dataset.image_shape);
  std::vector<std::int64_t> dims = {kBatch};
  for (std::int64_t dim : dataset.image_shape.dims()) dims.push_back(dim);
  Batch batch;
  batch.x = graph.add_activation("input", Shape(dims));
  batch.labels = graph.add_activation("labels", {kBatch}, DType::u32);
  graph
      .add(std::make_unique<GatherBatch>(dataset, step, batch, normalization, batch_stride,
                                         augmentation))
      .label = "input";
  return batch;
}

std::unique_ptr<GatherBatch> GatherBatch::with_places(Graph& graph) const {
  Batch batch = batch_;
  batch.places = graph.add_activation("places", {kBatch}, DType::u32);
  auto operation = std::make_unique<GatherBatch>(dataset_, step_, batch, normalization_,
                                                 batch_stride_, augmentation_);
  operation->label = label;
  return operation;
}

GatheredBatch GatherBatch::gathered() const {
  return {.images = dataset_.images,
          .places = batch_.places,
          .normalization = normalization_,
          .storing =
              std::make_shared<const GatherBatch>(dataset_, step_, Batch{batch_.x, batch_.labels},
                                                  normalization_, batch_stride_, augmentation_)};
}

PlannedBinding GatheredBatch::store(Lowering& l) const {
  const auto scratch = [&l](std::int64_t elements) {
    return l.scratch_binding(l.scratch(elements), runtime::Access::write);
  };
  PlannedBinding x = scratch(l.layout(storing->x()).size());
  storing->store(l, x, scratch(l.batch()));
  x.access = runtime::Access::read;
  return x;
}

std::vector<double> GatheredBatch::reference(const ReferenceMemory& memory) const {
  const Shape shape = memory.shape(images);
  const reference::PlacedImages sizes = {.words = shape.elements_per_row(),
                                         .stride = layout_of(shape).row_stride,
                                         .elements = memory.shape(storing->x()).elements_per_row(),
                                         .mean = normalization.mean,
                                         .std = normalization.std};
  std::vector<double> x(static_cast<std::size_t>(memory.batch() * sizes.elements));
  reference::gather_placed(sizes, memory[images], memory[places], x);
  return x;
}

void GatherBatch::lower(Lowering& l) const {
  if (has_places()) {
    lower_places(l);
  } else {
    store(l, l.write(batch_.x), l.write(batch_.labels));
  }
}

void GatherBatch::lower_places(Lowering& l) const {
  PlannedDispatch dispatch;
  dispatch.label = "gather places";
  dispatch.shader = "gather_places";
  dispatch.constants = {64};
  dispatch.bindings = {l.read(dataset_.labels), l.read(dataset_.indices), l.read(step_.state),
                       l.write(batch_.places), l.write(batch_.labels)};
  dispatch.push =
      push_bytes(PlacesPush{.batch = to_u32(l.batch()),
                            .image_stride = to_u32(l.layout(dataset_.images).row_stride),
                            .batch_stride = to_u32(batch_stride_),
                            .index_replica = l.replica_stride(dataset_.indices),
                            .state_replica = l.replica_stride(step_.state) / 4,
                            .place_replica = l.replica_stride(batch_.places),
                            .label_replica = l.replica_stride(batch_.labels)});
  dispatch.groups = l.groups_for(l.batch(), 64);
  dispatch.bytes = bytes_of(4 * l.batch());
  l.dispatch(std::move(dispatch));
}

void GatherBatch::store(Lowering& l, const PlannedBinding& stored_x,
                        const PlannedBinding& labels) const {
  const Layout x = l.layout(batch_.x);
  const auto row_words = static_cast<std::uint32_t>(x.row_stride / 4);
  const bool augmented = augmentation_.any();
  const Shape image = augmented ? dataset_.image_shape : Shape{0, 0, 0};
  PlannedDispatch dispatch;
  dispatch.label = "gather batch";
  dispatch.shader = "gather_batch";
  // Images lie anywhere in memory. A GPU reads whole lines of one; a CPU driver waits for memory
  // less where its lanes wait for one image each.
  const bool across = l.device().kind == runtime::DeviceKind::cpu;
  dispatch.constants = {64, augmented ? 1u : 0u, across ? 1u : 0u};
  dispatch.bindings = {l.read(dataset_.images),
                       l.read(dataset_.labels),
                       l.read(dataset_.indices),
                       l.read(step_.state),
                       stored_x,
                       labels,
                       l.read(augmented ? step_.hyperparameters : step_.state)};
  dispatch.push = push_bytes(
      Push{.batch = static_cast<std::uint32_t>(l.batch()),
           .row_words = row_words,
           .image_stride = static_cast<std::uint32_t>(l.layout(dataset_.images).row_stride),
           .batch_stride = static_cast<std::uint32_t>(batch_stride_),
           .index_replica = l.replica_stride(dataset_.indices),
           .state_replica = l.replica_stride(step_.state) / 4,
           .x_replica = l.replica_stride(batch_.x) / 4,
           .label_replica = l.replica_stride(batch_.labels),
           .scale = static_cast<float>(1.0 / (255.0 * normalization_.std)),
           .shift = static_cast<float>(-normalization_.mean / normalization_.std),
           .channels = to_u32(image[0]),
           .height = to_u32(image[1]),
           .width = to_u32(image[2]),
           .flip = static_cast<float>(augmentation_.horizontal_flip),
           .max_shift = to_u32(augmentation_.shift),
           .crop_padding = to_u32(augmentation_.crop_padding),
           .hyperparameters_replica =
               augmented ? l.replica_stride(step_.hyperparameters) / kHyperparameterWords : 0});
  constexpr std::int64_t kWords = 4;  // of 4 pixels, an invocation
  dispatch.groups = l.groups_for(l.batch() * divide_up(row_words, kWords), 64);
  dispatch.flops = 2.0 * static_cast<double>(x.size());
  dispatch.bytes = 5.0 * static_cast<double>(x.size());
  l.dispatch(std::move(dispatch));
}

void GatherBatch::reference(ReferenceMemory& memory) const {
  reference::ImageDraws draws;
  if (augmentation_.any()) {
    const std::vector<double>& words = memory[step_.hyperparameters];
    constexpr std::size_t kSeedWord = offsetof(Hyperparameters, seed) / 4;
    draws = {.horizontal_flip = static_cast<float>(augmentation_.horizontal_flip),
             .shift = augmentation_.shift,
             .crop_padding = augmentation_.crop_padding,
             .seed = {static_cast<std::uint32_t>(words[kSeedWord]),
                      static_cast<std::uint32_t>(words[kSeedWord + 1])},
             .step = static_cast<std::uint32_t>(memory[step_.state][0])};
  }
  std::vector<std::int64_t> image = dataset_.image_shape.dims();
  if (image.size() != 3) image = {1, 1, dataset_.image_shape.elements()};
  reference::gather_batch(
      {.batch = memory.batch(),
       .channels = image[0],
       .height = image[1],
       .width = image[2],
       .first = static_cast<std::int64_t>(memory[step_.state][1]) * batch_stride_,
       .mean = normalization_.mean,
       .std = normalization_.std},
      draws, memory[dataset_.images], memory[dataset_.labels], memory[dataset_.indices],
      memory[batch_.x], memory[batch_.labels]);
  if (!has_places()) return;
  // A row of the images has whole vec4 of words.
  const std::int64_t stride = layout_of(memory.shape(dataset_.images)).row_stride;
  const std::int64_t first = static_cast<std::int64_t>(memory[step_.state][1]) * batch_stride_;
  for (std::int64_t row = 0; row < memory.batch(); ++row) {
    memory[batch_.places][static_cast<std::size_t>(row)] =
        memory[dataset_.indices][static_cast<std::size_t>(first + row)] *
        static_cast<double>(stride);
  }
}

}  // namespace vktrain::nn
