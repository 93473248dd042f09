// What a training step has besides its layers and the optimizer: the batch, the loss, the metrics
// and the count of predictions. Whole graphs; nothing is differentiated.
#include <fmt/format.h>

#include <cmath>
#include <utility>
#include <vector>

#include "nn/check/catalogue.h"
#include "nn/fusion.h"
#include "nn/ops/confusion_matrix.h"
#include "nn/ops/gather_batch.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"
#include "nn/ops/linear_cross_entropy.h"
#include "nn/ops/softmax_cross_entropy.h"

namespace vktrain::nn {
namespace {

using Cases = std::vector<CatalogueCase>;
using Words = std::vector<std::uint32_t>;

constexpr std::int64_t kSteps = 4;  // entries of step tables

CatalogueCase loss_case(std::int64_t batch, std::int64_t classes, double smoothing,
                        std::uint64_t seed) {
  CatalogueCase c;
  c.name = fmt::format("loss, [{}, {}], smoothing {}", batch, classes, smoothing);
  c.operation.batch = batch;
  c.operation.seed = seed;
  c.operation.build_whole = [classes, smoothing](Graph& graph) {
    const ValueId logits = graph.add_external("logits", {kBatch, classes}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    softmax_cross_entropy(graph, logits, labels, smoothing);
    const CrossEntropy fused = {graph.add_activation("loss", {kBatch}),
                                graph.add_activation("correct", {kBatch}, DType::u32)};
    graph.add(std::make_unique<SoftmaxCrossEntropy>(
        logits, labels, fused, graph.add_activation("gradient", {kBatch, classes}), smoothing));
  };
  c.operation.fill = [classes](const Value& value, std::size_t count, std::uint32_t,
                               PhiloxRng& rng) -> std::optional<Words> {
    if (value.name == "labels") return draw_below(count, static_cast<std::uint32_t>(classes), rng);
    return scaled_normals(count, 3, rng);
  };
  return c;
}

struct LinearLossSizes {
  std::int64_t batch, in, classes;
};

// A last layer with its loss and all that can be merged, or (`plain`) without bias and data
// gradient.
CatalogueCase linear_loss_case(const LinearLossSizes& sizes, const ActivationSpec& activation,
                               double smoothing, bool plain, std::uint64_t seed) {
  CatalogueCase c;
  c.name = fmt::format("loss with its layer, {} x {} -> {}, {}, smoothing {}{}", sizes.batch,
                       sizes.in, sizes.classes, to_string(activation.kind), smoothing,
                       plain ? ", no bias, no data gradient" : "");
  c.operation.batch = sizes.batch;
  c.operation.seed = seed;
  c.operation.build_whole = [=](Graph& graph) {
    LinearCrossEntropyValues v;
    v.x = graph.add_external("x", {kBatch, sizes.in}, DType::f32, false);
    v.weight = graph.add_parameter({.name = "weight", .shape = {sizes.classes, sizes.in}});
    if (!plain) v.bias = graph.add_parameter({.name = "bias", .shape = {sizes.classes}});
    v.labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    v.result = {graph.add_activation("loss", {kBatch}),
                graph.add_activation("correct", {kBatch}, DType::u32)};
    v.logits = graph.add_activation("logits", {kBatch, sizes.classes});
    v.gradient = graph.add_activation("gradient", {kBatch, sizes.classes});
    if (!plain) v.data_gradient = graph.add_activation("dx", {kBatch, sizes.in});
    v.gradient_activation = activation;
    graph.add(std::make_unique<LinearCrossEntropy>(v, smoothing)).label = "last";
  };
  c.operation.fill = [sizes](const Value& value, std::size_t count, std::uint32_t,
                             PhiloxRng& rng) -> std::optional<Words> {
    if (value.name == "labels") {
      return draw_below(count, static_cast<std::uint32_t>(sizes.classes), rng);
    }
    if (value.name == "x") return scaled_normals(count, 1, rng);
    return scaled_normals(count, 2 / std::sqrt(static_cast<double>(sizes.in)), rng);
  };
  return c;
}

constexpr std::int64_t kImages = 37, kLength = 130;  // of the data set, and of an epoch
constexpr Normalization kNormalization = {.mean = 0.3, .std = 0.35};

// What a batch is made of, in the second step of an epoch.
std::optional<Words> batch_words(const Value& value, std::size_t count, PhiloxRng& rng) {
  if (value.name == "step_state") return Words{7, 1, 0, 0};
  if (value.name == "indices") return draw_below(count, kImages, rng);
  if (value.name == "labels") return draw_below(count, 10, rng);
  if (value.name == "images") {
    Words words(count);
    for (std::uint32_t& word : words) word = rng.next_u32();
    return words;
  }
  if (value.name != "hyperparameters") return std::nullopt;
  Hyperparameters h;
  h.seed[0] = 17;
  return words_of_block(h);
}

CatalogueCase gather_case(const Shape& image, const Augmentation& augmentation, std::string name,
                          std::uint64_t seed) {
  constexpr std::int64_t kBatchSize = 8;
  CatalogueCase c;
  c.name = std::move(name);
  c.operation.batch = kBatchSize;
  c.operation.seed = seed;
  c.operation.build_whole = [image, augmentation](Graph& graph) {
    const StepInputs step = add_step_inputs(graph, kSteps);
    const DatasetInputs dataset = add_dataset_inputs(graph, image, kImages, kLength);
    gather_batch(graph, dataset, step, kNormalization, kBatchSize, augmentation);
  };
  c.operation.fill = [](const Value& value, std::size_t count, std::uint32_t, PhiloxRng& rng) {
    return batch_words(value, count, rng);
  };
  return c;
}

// The forward product and the weight gradient of a first layer that read the images in the data
// set.
CatalogueCase gathered_case(const Shape& image, std::int64_t batch, std::int64_t outputs,
                            const runtime::DeviceProfile& device, std::uint64_t seed) {
  CatalogueCase c;
  c.name = fmt::format("{} of {} gathered by products -> {}", batch, to_string(image), outputs);
  c.operation.batch = batch;
  c.operation.seed = seed;
  c.operation.build_whole = [=](Graph& graph) {
    const StepInputs step = add_step_inputs(graph, kSteps);
    const DatasetInputs dataset = add_dataset_inputs(graph, image, kImages, kLength);
    const Batch made = gather_batch(graph, dataset, step, kNormalization, batch);
    const ValueId weight =
        graph.add_parameter({.name = "weight", .shape = {outputs, image.elements()}});
    const ValueId bias = graph.add_parameter({.name = "bias", .shape = {outputs}});
    const ValueId dy = graph.add_external("dy", {kBatch, outputs}, DType::f32, false);
    GemmEpilogue added, summed;
    added.bias = bias;
    added.activation = {Activation::tanh};
    summed.column_sum = graph.gradient_slot(bias);
    graph.add(std::make_unique<Gemm>(GemmForm::nt, made.x, weight,
                                     graph.add_activation("y", {kBatch, outputs}), added));
    graph.add(
        std::make_unique<Gemm>(GemmForm::tn, dy, made.x, graph.gradient_slot(weight), summed));
  };
  c.operation.rewrite = [device](Graph& graph) { fuse(graph, {}, &device); };
  c.operation.fill = [image](const Value& value, std::size_t count, std::uint32_t,
                             PhiloxRng& rng) -> std::optional<Words> {
    if (value.name == "dy") return scaled_normals(count, 1, rng);
    if (value.kind != ValueKind::parameter) return batch_words(value, count, rng);
    return scaled_normals(count, 1 / std::sqrt(static_cast<double>(image.elements())), rng);
  };
  c.own_kernels = true;
  return c;
}

CatalogueCase confusion_case(std::int64_t batch, std::int64_t classes, std::uint64_t seed) {
  CatalogueCase c;
  c.name = fmt::format("confusion, [{}, {}]", batch, classes);
  c.operation.batch = batch;
  c.operation.seed = seed;
  c.operation.runs = 2;
  c.operation.build_whole = [classes](Graph& graph) {
    const ValueId logits = graph.add_external("logits", {kBatch, classes}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    confusion_matrix(graph, logits, labels);
  };
  // Small whole numbers, so that ties are common.
  c.operation.fill = [classes](const Value& value, std::size_t count, std::uint32_t,
                               PhiloxRng& rng) -> std::optional<Words> {
    if (value.name == "labels") return draw_below(count, static_cast<std::uint32_t>(classes), rng);
    if (value.name != "logits") return std::nullopt;
    std::vector<float> logits(count);
    for (float& logit : logits) logit = static_cast<float>(rng.below(5)) - 4;
    return words_of(logits);
  };
  return c;
}

}  // namespace

std::vector<CatalogueCase> step_catalogue(std::uint64_t seed,
                                          const runtime::DeviceProfile& device) {
  Cases all;
  seed += 6000;
  for (const auto& [batch, classes] :
       {std::pair<std::int64_t, std::int64_t>{1, 2}, {65, 10}, {512, 10}, {33, 1000}}) {
    for (const double smoothing : {0.0, 0.1}) {
      all.push_back(loss_case(batch, classes, smoothing, ++seed));
    }
    all.push_back(confusion_case(batch, classes, ++seed));
  }
  all.push_back(gather_case({1, 28, 28}, {}, "batch of [1, 28, 28]", ++seed));
  all.push_back(gather_case({3, 5, 7}, {}, "batch of [3, 5, 7]", ++seed));
  all.push_back(gather_case({3, 9, 10}, {.horizontal_flip = 0.5, .shift = 2},
                            "batch of [3, 9, 10], flips and shifts", ++seed));
  all.push_back(gather_case({1, 28, 28}, {.horizontal_flip = 0.5, .crop_padding = 4},
                            "batch of [1, 28, 28], flips and crops", ++seed));
  if (gemm_can_shuffle(device)) {
    all.push_back(gathered_case({1, 28, 28}, 64, 100, device, seed + 200));
    all.push_back(gathered_case({3, 5, 7}, 65, 33, device, seed + 201));
  }
  std::uint64_t loss_seed = seed + 300;
  const auto linear_loss = [&](const LinearLossSizes& sizes, Activation kind, double smoothing,
                               bool plain = false) {
    all.push_back(linear_loss_case(sizes, {kind, 0.1f}, smoothing, plain, ++loss_seed));
  };
  linear_loss({1, 3, 2}, Activation::none, 0);
  linear_loss({65, 64, 10}, Activation::relu, 0);
  linear_loss({512, 150, 10}, Activation::tanh, 0);
  linear_loss({33, 30, 16}, Activation::leaky_relu, 0.1);
  linear_loss({64, 784, 10}, Activation::none, 0.1, true);
  return all;
}

}  // namespace vktrain::nn
