#include "nn/ops/gather_batch.h"

#include "nn/lowering.h"
#include "nn/reference/gather_batch.h"
#include "nn/reference/reference_memory.h"

namespace vktrain::nn {
namespace {

struct Push {
  std::uint32_t batch, row_words, image_stride, batch_stride;
  std::uint32_t index_replica, state_replica, x_replica, label_replica;
  float scale, shift;
};

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
                         const Normalization& normalization, std::int64_t batch_stride)
    : Operation({dataset.images, dataset.labels, dataset.indices, step.state},
                {batch.x, batch.labels}),
      dataset_(dataset),
      step_(step),
      batch_(batch),
      normalization_(normalization),
      batch_stride_(batch_stride) {}

Batch gather_batch(Graph& graph, const DatasetInputs& dataset, const StepInputs& step,
                   const Normalization& normalization, std::int64_t batch_stride) {
  std::vector<std::int64_t> dims = {kBatch};
  for (std::int64_t dim : dataset.image_shape.dims()) dims.push_back(dim);
  Batch batch;
  batch.x = graph.add_activation("input", Shape(dims));
  batch.labels = graph.add_activation("labels", {kBatch}, DType::u32);
  graph.add(std::make_unique<GatherBatch>(dataset, step, batch, normalization, batch_stride))
      .label = "input";
  return batch;
}

void GatherBatch::lower(Lowering& l) const {
  const Layout x = l.layout(batch_.x);
  const auto row_words = static_cast<std::uint32_t>(x.row_stride / 4);
  PlannedDispatch dispatch;
  dispatch.label = "gather batch";
  dispatch.shader = "gather_batch";
  dispatch.constants = {64};
  dispatch.bindings = {l.read(dataset_.images), l.read(dataset_.labels), l.read(dataset_.indices),
                       l.read(step_.state),     l.write(batch_.x),       l.write(batch_.labels)};
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
           .shift = static_cast<float>(-normalization_.mean / normalization_.std)});
  dispatch.groups = l.groups_for(l.batch() * row_words, 64);
  dispatch.flops = 2.0 * static_cast<double>(x.size());
  dispatch.bytes = 5.0 * static_cast<double>(x.size());
  l.dispatch(std::move(dispatch));
}

void GatherBatch::reference(ReferenceMemory& memory) const {
  reference::gather_batch(
      {.batch = memory.batch(),
       .pixels = dataset_.image_shape.elements(),
       .first = static_cast<std::int64_t>(memory[step_.state][1]) * batch_stride_,
       .mean = normalization_.mean,
       .std = normalization_.std},
      memory[dataset_.images], memory[dataset_.labels], memory[dataset_.indices], memory[batch_.x],
      memory[batch_.labels]);
}

}  // namespace vktrain::nn
