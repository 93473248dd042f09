// What a training step has besides its layers: the batch, the loss, clipping, the optimizers, the
// metrics and the count of predictions. Whole graphs; nothing is differentiated.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "nn/check/catalogue.h"
#include "nn/fusion.h"
#include "nn/ops/clip_gradients.h"
#include "nn/ops/confusion_matrix.h"
#include "nn/ops/end_step.h"
#include "nn/ops/gather_batch.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"
#include "nn/ops/linear_cross_entropy.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optimizers/optimizer.h"

namespace vktrain::nn {
namespace {

using Cases = std::vector<CatalogueCase>;
using Words = std::vector<std::uint32_t>;

constexpr std::int64_t kSteps = 4;  // entries of step tables

Words draw_below(std::size_t count, std::uint32_t n, PhiloxRng& rng) {
  Words words(count);
  for (std::uint32_t& word : words) word = rng.below(n);
  return words;
}

Words scaled_normals(std::size_t count, double scale, PhiloxRng& rng) {
  return words_of(normal_values(count, rng, 0, scale));
}

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

CatalogueCase gather_case(const Shape& image, const Augmentation& augmentation, std::string name,
                          std::uint64_t seed) {
  constexpr std::int64_t kImages = 37, kLength = 23, kBatchSize = 8;
  CatalogueCase c;
  c.name = std::move(name);
  c.operation.batch = kBatchSize;
  c.operation.seed = seed;
  c.operation.build_whole = [image, augmentation](Graph& graph) {
    const StepInputs step = add_step_inputs(graph, kSteps);
    const DatasetInputs dataset = add_dataset_inputs(graph, image, kImages, kLength);
    gather_batch(graph, dataset, step, {.mean = 0.3, .std = 0.35}, kBatchSize, augmentation);
  };
  c.operation.fill = [](const Value& value, std::size_t count, std::uint32_t,
                        PhiloxRng& rng) -> std::optional<Words> {
    if (value.name == "step_state") return Words{7, 1, 0, 0};
    if (value.name == "indices") return draw_below(count, kImages, rng);
    if (value.name == "labels") return draw_below(count, 10, rng);
    if (value.name == "step_table") return std::nullopt;
    if (value.name == "hyperparameters") {
      Hyperparameters h;
      h.seed[0] = 17;
      return words_of_block(h);
    }
    Words words(count);
    for (std::uint32_t& word : words) word = rng.next_u32();
    return words;
  };
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

// Kernels and biases of sizes that leave padding, and one that needs several workgroups.
std::vector<ValueId> declare_parameters(Graph& graph) {
  const std::vector<Shape> shapes = {{17, 33}, {17}, {3, 2, 3, 3}, {3}, {65}, {200, 101}};
  std::vector<ValueId> gradients;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const ValueId weight = graph.add_parameter({.name = fmt::format("{}.weight", i),
                                                .shape = shapes[i],
                                                .penalised = shapes[i].rank() > 1});
    gradients.push_back(graph.gradient_slot(weight));
  }
  return gradients;
}

CatalogueCase clip_case(const GradientLimits& limits, std::uint64_t seed) {
  CatalogueCase c;
  c.name = fmt::format("clipping, value {}, norm {}", limits.value, limits.norm);
  c.operation.seed = seed;
  c.operation.build_whole = [limits](Graph& graph) {
    graph.add(std::make_unique<ClipGradients>(declare_parameters(graph), limits));
  };
  return c;
}

std::vector<float> step_table(const OptimizerConfig& config) {
  std::vector<float> table;
  for (std::uint64_t t = 1; t <= kSteps; ++t) {
    // The learning rate falls, so that a wrong entry shows.
    const double rate = config.learning_rate / (1 + 0.1 * static_cast<double>(t));
    const StepTableEntry entry = step_table_entry(config, t, rate);
    table.insert(table.end(), {entry.learning_rate, entry.bias_correction1,
                               entry.sqrt_bias_correction2, entry.reserved});
  }
  return table;
}

// Three steps of what `declare` adds to a graph; end_step advances the counters from one to the
// next.
CatalogueCase optimizer_case(const OptimizerConfig& config, std::string_view what,
                             std::uint64_t seed,
                             const std::function<void(Graph&)>& declare = declare_parameters) {
  CatalogueCase c;
  c.name = std::string(what);
  c.operation.batch = 65;
  c.operation.seed = seed;
  c.operation.runs = 3;
  c.operation.optimizer_fill = optimizer_fill(config);
  c.operation.build_whole = [config, declare](Graph& graph) {
    const StepInputs step = add_step_inputs(graph, kSteps);
    const CrossEntropy loss = {graph.add_external("loss", {kBatch}, DType::f32, false),
                               graph.add_external("correct", {kBatch}, DType::u32, false)};
    declare(graph);
    end_step(graph, loss, step, add_optimizer(graph, config, step));
  };
  c.operation.fill = [config](const Value& value, std::size_t count, std::uint32_t,
                              PhiloxRng& rng) -> std::optional<Words> {
    if (value.name == "correct") return draw_below(count, 2, rng);
    if (value.name == "step_table") return words_of(step_table(config));
    if (value.kind == ValueKind::gradient) return scaled_normals(count, 0.5, rng);
    if (value.name == "loss") {
      std::vector<float> losses(count);
      for (float& loss : losses) loss = static_cast<float>(5 * rng.uniform());
      return words_of(losses);
    }
    if (value.name != "hyperparameters") return std::nullopt;
    Hyperparameters h;
    fill_hyperparameters(config, h);
    return words_of_block(h);
  };
  return c;
}

// A linear layer's weight gradient with that of its bias.
void add_weight_gradient(Graph& graph) {
  constexpr std::int64_t kOutputs = 100, kInputs = 165;
  const ValueId weight =
      graph.add_parameter({.name = "large.weight", .shape = {kOutputs, kInputs}});
  const ValueId bias = graph.add_parameter({.name = "large.bias", .shape = {kOutputs}});
  const ValueId dy = graph.add_external("dy", {kBatch, kOutputs}, DType::f32, false);
  const ValueId x = graph.add_external("x", {kBatch, kInputs}, DType::f32, false);
  GemmEpilogue epilogue;
  epilogue.column_sum = graph.gradient_slot(bias);
  graph.add(std::make_unique<Gemm>(GemmForm::tn, dy, x, graph.gradient_slot(weight), epilogue));
}

// The update of a layer's weights by the product that makes their gradient, where the device has
// kernels for it, and (`alone`) of its bias, for want of other parameters; of small integers, as
// Adam's first step amplifies a rounding that makes a gradient of 0.
CatalogueCase merged_update_case(const OptimizerConfig& config, bool alone,
                                 const runtime::DeviceProfile& device, std::uint64_t seed) {
  const std::string what = alone ? "weight gradient and update with bias, [100, 165]"
                                 : "weight gradient and update, [100, 165]";
  CatalogueCase c = optimizer_case(config, what, seed, [alone](Graph& graph) {
    add_weight_gradient(graph);
    if (!alone) declare_parameters(graph);
  });
  // The bias gradient is not made where the product updates the bias.
  if (alone) c.operation.ignore = [](const Value& v) { return v.kind == ValueKind::gradient; };
  c.operation.fill = [fill = c.operation.fill](const Value& value, std::size_t count,
                                               std::uint32_t replica, PhiloxRng& rng) {
    if (value.name != "dy" && value.name != "x") return fill(value, count, replica, rng);
    std::vector<float> values(count);
    for (float& v : values) v = static_cast<float>(rng.below(5)) - 2;
    return std::optional(words_of(values));
  };
  c.operation.rewrite = [device](Graph& graph) { fuse(graph, {}, &device); };
  c.own_kernels = true;
  return c;
}

OptimizerConfig optimizer(OptimizerKind kind, OptimizerDefinition definition, double rate) {
  OptimizerConfig config = default_optimizer(kind, definition);
  config.learning_rate = rate;
  return config;
}

void add_optimizers(Cases& all, std::uint64_t seed) {
  using enum OptimizerKind;
  for (const OptimizerDefinition definition :
       {OptimizerDefinition::pytorch, OptimizerDefinition::keras}) {
    const bool keras = definition == OptimizerDefinition::keras;
    const std::string suffix = keras ? ", Keras" : ", PyTorch";
    const auto push = [&](const OptimizerConfig& config, const std::string& what) {
      all.push_back(optimizer_case(config, what + suffix, ++seed));
    };
    OptimizerConfig sgd_config = optimizer(sgd, definition, 0.1);
    push(sgd_config, "sgd");
    sgd_config.momentum = 0.9;
    push(sgd_config, "sgd with momentum");
    sgd_config.nesterov = true;
    sgd_config.l1 = 0.01;
    sgd_config.l2 = 0.02;
    push(sgd_config, "sgd with Nesterov's momentum and penalties");
    push(optimizer(adam, definition, 0.02), "adam");
    push(optimizer(rmsprop, definition, 0.01), "rmsprop");
    OptimizerConfig centred = optimizer(rmsprop, definition, 0.01);
    centred.momentum = 0.7;
    push(centred, "rmsprop with momentum");
    push(optimizer(adagrad, definition, 0.1), "adagrad");
  }
  OptimizerConfig decoupled = optimizer(adamw, OptimizerDefinition::pytorch, 0.02);
  decoupled.weight_decay = 0.5;
  all.push_back(optimizer_case(decoupled, "adamw with weight decay", ++seed));
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
  for (const GradientLimits& limits : {GradientLimits{.value = 0.5}, {.norm = 1}, {.norm = 1e6}}) {
    all.push_back(clip_case(limits, ++seed));
  }
  all.push_back(clip_case({.value = 0.7, .norm = 2}, ++seed));
  add_optimizers(all, seed + 100);
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
  if (gemm_can_shuffle(device)) {
    using enum OptimizerKind;
    for (const OptimizerKind kind : {sgd, adam, rmsprop, adagrad}) {
      const OptimizerConfig config = optimizer(kind, OptimizerDefinition::pytorch, 0.02);
      for (const bool alone : {false, true}) {
        all.push_back(merged_update_case(config, alone, device, seed + 200));
      }
    }
  }
  return all;
}

}  // namespace vktrain::nn
