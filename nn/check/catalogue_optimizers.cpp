// What becomes of gradients: clipping, the optimizers, and updates by the products that make the
// gradients. Whole graphs; nothing is differentiated.
#include <fmt/format.h>

#include <functional>
#include <utility>
#include <vector>

#include "nn/check/catalogue.h"
#include "nn/fusion.h"
#include "nn/ops/clip_gradients.h"
#include "nn/ops/end_step.h"
#include "nn/ops/gather_batch.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optimizers/optimizer.h"

namespace vktrain::nn {
namespace {

using Cases = std::vector<CatalogueCase>;
using Words = std::vector<std::uint32_t>;

constexpr std::int64_t kSteps = 4;                                      // entries of step tables
constexpr std::int64_t kOutputs = 100, kInputs = 165, kBatchSize = 65;  // of a layer
constexpr std::int64_t kImages = 37;                                    // of a data set

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

void declare_parameters_alone(Graph& graph, const StepInputs&) { declare_parameters(graph); }

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
                             const std::function<void(Graph&, const StepInputs&)>& declare) {
  CatalogueCase c;
  c.name = std::string(what);
  c.operation.batch = kBatchSize;
  c.operation.seed = seed;
  c.operation.runs = 3;
  c.operation.optimizer_fill = optimizer_fill(config);
  c.operation.build_whole = [config, declare](Graph& graph) {
    const StepInputs step = add_step_inputs(graph, kSteps);
    const CrossEntropy loss = {graph.add_external("loss", {kBatch}, DType::f32, false),
                               graph.add_external("correct", {kBatch}, DType::u32, false)};
    declare(graph, step);
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

// What the product updates: the weights, or their bias, too; of all parameters or beside others.
enum class Merged { weights, beside_others, all, all_gathered };

std::string to_string(Merged merged) {
  switch (merged) {
    case Merged::weights:
      return "weight gradient and update";
    case Merged::beside_others:
      return "weight gradient and update with bias, beside other parameters";
    case Merged::all:
      return "weight gradient and update with bias";
    case Merged::all_gathered:
      break;
  }
  return "weight gradient and update with bias, batch gathered";
}

// -1 for a byte of 0 and 1 for one of 255.
ValueId gathered_x(Graph& graph, const StepInputs& step) {
  const DatasetInputs dataset =
      add_dataset_inputs(graph, {1, 11, kInputs / 11}, kImages, kSteps * kBatchSize);
  return gather_batch(graph, dataset, step, {.mean = 0.5, .std = 0.5}, kBatchSize).x;
}

// A linear layer's weight gradient with that of its bias.
void add_weight_gradient(Graph& graph, const StepInputs& step, Merged merged) {
  const ValueId weight =
      graph.add_parameter({.name = "large.weight", .shape = {kOutputs, kInputs}});
  const ValueId bias = graph.add_parameter({.name = "large.bias", .shape = {kOutputs}});
  const ValueId dy = graph.add_external("dy", {kBatch, kOutputs}, DType::f32, false);
  const ValueId x = merged == Merged::all_gathered
                        ? gathered_x(graph, step)
                        : graph.add_external("x", {kBatch, kInputs}, DType::f32, false);
  GemmEpilogue epilogue;
  epilogue.column_sum = graph.gradient_slot(bias);
  graph.add(std::make_unique<Gemm>(GemmForm::tn, dy, x, graph.gradient_slot(weight), epilogue));
  if (merged == Merged::weights) graph.keep(epilogue.column_sum);
  if (merged == Merged::beside_others) declare_parameters(graph);
}

// Small integers, as Adam's first step amplifies a rounding that makes a gradient of 0.
std::optional<Words> integer_words(const Value& value, std::size_t count, PhiloxRng& rng) {
  if (value.name == "indices") return draw_below(count, kImages, rng);
  if (value.name == "images") {
    Words words = draw_below(count, 16, rng);
    for (std::uint32_t& word : words) {
      word = 0xffu * ((word & 1) | (word & 2) << 7 | (word & 4) << 14 | (word & 8) << 21);
    }
    return words;
  }
  if (value.name != "dy" && value.name != "x") return std::nullopt;
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(rng.below(5)) - 2;
  return words_of(values);
}

// The update of a layer's weights by the product that makes their gradient, where the device has
// kernels for it, and of its bias but where that gradient is kept.
CatalogueCase merged_update_case(const OptimizerConfig& config, Merged merged,
                                 const runtime::DeviceProfile& device, std::uint64_t seed) {
  const std::string what = fmt::format("{}, [{}, {}]", to_string(merged), kOutputs, kInputs);
  CatalogueCase c = optimizer_case(
      config, what, seed,
      [merged](Graph& graph, const StepInputs& step) { add_weight_gradient(graph, step, merged); });
  // The bias gradient is not made where the product updates the bias.
  if (merged != Merged::weights) {
    c.operation.ignore = [](const Value& v) { return v.kind == ValueKind::gradient; };
  }
  c.operation.fill = [fill = c.operation.fill](const Value& value, std::size_t count,
                                               std::uint32_t replica, PhiloxRng& rng) {
    const std::optional<Words> integers = integer_words(value, count, rng);
    return integers ? integers : fill(value, count, replica, rng);
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

void add_merged_updates(Cases& all, const runtime::DeviceProfile& device, std::uint64_t seed) {
  using enum OptimizerKind;
  for (const OptimizerKind kind : {sgd, adam, rmsprop, adagrad}) {
    const OptimizerConfig config = optimizer(kind, OptimizerDefinition::pytorch, 0.02);
    for (const Merged merged :
         {Merged::weights, Merged::beside_others, Merged::all, Merged::all_gathered}) {
      all.push_back(merged_update_case(config, merged, device, seed));
    }
  }
}

void add_optimizers(Cases& all, std::uint64_t seed) {
  using enum OptimizerKind;
  for (const OptimizerDefinition definition :
       {OptimizerDefinition::pytorch, OptimizerDefinition::keras}) {
    const bool keras = definition == OptimizerDefinition::keras;
    const std::string suffix = keras ? ", Keras" : ", PyTorch";
    const auto push = [&](const OptimizerConfig& config, const std::string& what) {
      all.push_back(optimizer_case(config, what + suffix, ++seed, declare_parameters_alone));
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
  all.push_back(
      optimizer_case(decoupled, "adamw with weight decay", ++seed, declare_parameters_alone));
}

}  // namespace

std::vector<CatalogueCase> optimizer_catalogue(std::uint64_t seed,
                                               const runtime::DeviceProfile& device) {
  Cases all;
  seed += 7000;
  for (const GradientLimits& limits : {GradientLimits{.value = 0.5}, {.norm = 1}, {.norm = 1e6}}) {
    all.push_back(clip_case(limits, ++seed));
  }
  all.push_back(clip_case({.value = 0.7, .norm = 2}, ++seed));
  add_optimizers(all, seed + 100);
  if (gemm_can_shuffle(device)) add_merged_updates(all, device, seed + 200);
  return all;
}

}  // namespace vktrain::nn
