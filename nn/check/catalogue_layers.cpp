// Operations between matrix products: activations, normalisation, pooling, dropout, and those that
// move or add values.
#include <fmt/format.h>

#include <vector>

#include "nn/check/catalogue.h"
#include "nn/check/image_case.h"
#include "nn/fusion.h"
#include "nn/ops/activation.h"
#include "nn/ops/add.h"
#include "nn/ops/avg_pool2d.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/bias_add.h"
#include "nn/ops/channels_last.h"
#include "nn/ops/concat.h"
#include "nn/ops/dropout.h"
#include "nn/ops/dropout2d.h"
#include "nn/ops/max_pool2d.h"

namespace vktrain::nn {
namespace {

using Build = std::function<ValueId(Graph&, ValueId)>;
using Cases = std::vector<CatalogueCase>;

struct MatrixShape {
  std::int64_t batch, columns;
};

std::string to_string(const ImageShape& s) {
  return fmt::format("[{}, {}, {}, {}]", s.batch, s.channels, s.height, s.width);
}

CatalogueCase matrix(const MatrixShape& shape, std::string_view what, std::uint64_t seed,
                     Build build) {
  CatalogueCase c;
  c.name = fmt::format("{}, [{}, {}]", what, shape.batch, shape.columns);
  c.operation.batch = shape.batch;
  c.operation.columns = shape.columns;
  c.operation.seed = seed;
  c.operation.build = std::move(build);
  return c;
}

CatalogueCase images(const ImageShape& shape, std::string_view what, std::uint64_t seed,
                     Build build) {
  return {fmt::format("{}, {}", what, to_string(shape)), image_case(shape, seed, std::move(build))};
}

constexpr MatrixShape kMatrices[] = {{2, 1}, {64, 64}, {65, 33}, {3, 513}, {512, 100}};
constexpr ImageShape kImages[] = {{17, 5, 7, 7}, {64, 4, 4, 4}, {65, 3, 12, 11}, {40, 20, 14, 14}};

void add_activations(Cases& all, std::uint64_t seed) {
  for (const Activation kind :
       {Activation::relu, Activation::tanh, Activation::sigmoid, Activation::elu,
        Activation::leaky_relu, Activation::gelu, Activation::silu}) {
    for (const MatrixShape& shape : kMatrices) {
      all.push_back(matrix(shape, to_string(kind), ++seed, [kind](Graph& graph, ValueId x) {
        return activation(graph, x, {kind, 0.5f}, "op");
      }));
    }
  }
}

// The mean may be large against the deviation: naive sums of squares would lose everything.
CatalogueCase with_mean(CatalogueCase c, double mean) {
  c.operation.fill = [mean](const Value& value, std::size_t count, std::uint32_t,
                            PhiloxRng& rng) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name == "input") return words_of(normal_values(count, rng, mean));
    if (value.name != "op.running_var") return std::nullopt;
    std::vector<float> variances(count);
    for (float& v : variances) v = static_cast<float>(rng.uniform(0.5, 2));
    return words_of(variances);
  };
  return c;
}

void add_batch_norms(Cases& all, std::uint64_t seed) {
  for (const bool training : {true, false}) {
    const Build build = [training](Graph& graph, ValueId x) {
      return training ? batch_norm_train(graph, x, BatchNormOptions{}, "op")
                      : batch_norm_eval(graph, x, BatchNormOptions{}, "op");
    };
    for (const double mean : {0.0, 1e4}) {
      if (mean > 0 && !training) continue;
      const std::string what =
          fmt::format("batch norm {}, mean {}", training ? "training" : "evaluation", mean);
      for (const MatrixShape& shape : kMatrices) {
        all.push_back(with_mean(matrix(shape, what, ++seed, build), mean));
      }
      for (const ImageShape& shape : kImages) {
        all.push_back(with_mean(images(shape, what, ++seed, build), mean));
      }
    }
  }
}

// With the activation that follows in networks, in one kernel.
void add_activated_batch_norms(Cases& all, std::uint64_t seed) {
  for (const bool training : {true, false}) {
    const Build build = [training](Graph& graph, ValueId x) {
      const ValueId y = training ? batch_norm_train(graph, x, BatchNormOptions{}, "op")
                                 : batch_norm_eval(graph, x, BatchNormOptions{}, "op");
      return activation(graph, y, {Activation::relu}, "behind");
    };
    const std::string what =
        fmt::format("batch norm {} and relu", training ? "training" : "evaluation");
    all.push_back(with_mean(matrix({65, 33}, what, ++seed, build), 0));
    all.back().operation.rewrite = [](Graph& graph) { fuse(graph); };
    all.push_back(with_mean(images({17, 5, 7, 7}, what, ++seed, build), 0));
    all.back().operation.rewrite = [](Graph& graph) { fuse(graph); };
  }
}

constexpr Window2d kTile = {.kernel = {2, 2}, .stride = {2, 2}};
constexpr Window2d kOverlapping = {
    .kernel = {3, 3}, .stride = {2, 2}, .padding_begin = {1, 1}, .padding_end = {1, 1}};

// And the max pooling that follows there, too. Whole numbers: a rounding would choose other
// winners.
void add_pooled_batch_norms(Cases& all, std::uint64_t seed) {
  for (const bool training : {true, false}) {
    const Build build = [training](Graph& graph, ValueId x) {
      const ValueId y = training ? batch_norm_train(graph, x, BatchNormOptions{}, "op")
                                 : batch_norm_eval(graph, x, BatchNormOptions{}, "op");
      return max_pool2d(graph, activation(graph, y, {Activation::relu}, "behind"), kTile, "pool");
    };
    const std::string what =
        fmt::format("batch norm {}, relu and max pooling", training ? "training" : "evaluation");
    for (const ImageShape& shape : {ImageShape{9, 4, 28, 28}, ImageShape{65, 16, 14, 14}}) {
      CatalogueCase c = with_mean(images(shape, what, ++seed, build), 0);
      c.operation.rewrite = [](Graph& graph) { fuse(graph); };
      c.operation.fill = [others = c.operation.fill](const Value& value, std::size_t count,
                                                     std::uint32_t replica, PhiloxRng& rng) {
        if (value.name != "input" && value.name != "pre.bias") {
          return others(value, count, replica, rng);
        }
        std::vector<float> values(count);
        for (float& v : values) v = static_cast<float>(rng.below(9)) - 4;
        return std::optional(words_of(values));
      };
      all.push_back(std::move(c));
    }
  }
}

void add_poolings(Cases& all, std::uint64_t seed) {
  constexpr Window2d kDilated = {
      .kernel = {3, 2}, .stride = {1, 2}, .padding_begin = {1, 0}, .dilation = {2, 1}};
  constexpr ImageShape kShapes[] = {{3, 2, 4, 4}, {5, 3, 9, 13}, {33, 8, 14, 14}, {4, 8, 28, 28}};
  for (const ImageShape& shape : kShapes) {
    for (const Window2d& window : {kTile, kOverlapping, kDilated}) {
      all.push_back(
          images(shape, "max pooling " + to_string(window.kernel), ++seed,
                 [window](Graph& graph, ValueId x) { return max_pool2d(graph, x, window, "op"); }));
      // With ties, and with the derivative in the pooling's gradient.
      all.push_back(images(shape, "max pooling of relu " + to_string(window.kernel), ++seed,
                           [window](Graph& graph, ValueId x) {
                             const ValueId y = activation(graph, x, {Activation::relu}, "before");
                             return max_pool2d(graph, y, window, "op");
                           }));
      all.back().operation.rewrite = [](Graph& graph) { fuse(graph); };
    }
    for (const bool count_include_pad : {false, true}) {
      all.push_back(
          images(shape, "average pooling", ++seed, [count_include_pad](Graph& graph, ValueId x) {
            return avg_pool2d(graph, x, kOverlapping, count_include_pad, "op");
          }));
    }
    all.push_back(images(shape, "global average pooling", ++seed, [](Graph& graph, ValueId x) {
      return global_avg_pool2d(graph, x, "op");
    }));
  }
}

void add_dropouts(Cases& all, std::uint64_t seed) {
  constexpr std::uint32_t kSlot = 3;
  const auto with_probability = [](CatalogueCase c, float probability) {
    c.operation.fill = [probability](const Value& value, std::size_t, std::uint32_t,
                                     PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
      if (value.name == "step_state") return std::vector<std::uint32_t>{5, 0, 0, 0};
      if (value.name != "hyperparameters") return std::nullopt;
      Hyperparameters h;
      h.seed[0] = 1000;
      h.dropout[kSlot] = probability;
      return words_of_block(h);
    };
    return c;
  };
  for (const float probability : {0.0f, 0.1f, 0.5f}) {
    for (const MatrixShape& shape : kMatrices) {
      all.push_back(with_probability(matrix(shape, fmt::format("dropout {}", probability), ++seed,
                                            [](Graph& graph, ValueId x) {
                                              return dropout(graph, x, kSlot,
                                                             add_step_inputs(graph, 1), "op");
                                            }),
                                     probability));
    }
    for (const ImageShape& shape : kImages) {
      all.push_back(with_probability(
          images(shape, fmt::format("dropout of channels {}", probability), ++seed,
                 [](Graph& graph, ValueId x) {
                   return dropout2d(graph, x, kSlot, add_step_inputs(graph, 1), "op");
                 }),
          probability));
    }
  }
}

// [other, tanh x, other] with odd widths, so that no part is aligned.
ValueId concat_three(Graph& graph, ValueId x) {
  const ValueId first = graph.add_external("first", {kBatch, 5}, DType::f32, false);
  const ValueId last = graph.add_external("last", {kBatch, 3}, DType::f32, false);
  const ValueId t = activation(graph, x, {Activation::tanh}, "between");
  return concat(graph, std::vector{first, t, last}, "op");
}

void add_moves(Cases& all, std::uint64_t seed) {
  for (const MatrixShape& shape : kMatrices) {
    all.push_back(matrix(shape, "concat", ++seed, concat_three));
    all.push_back(matrix(shape, "add", ++seed, [](Graph& graph, ValueId x) {
      return add(graph, x, activation(graph, x, {Activation::relu}, "branch"), "op");
    }));
    all.push_back(matrix(shape, "add and relu", ++seed, [](Graph& graph, ValueId x) {
      const ValueId t = activation(graph, x, {Activation::tanh}, "branch");
      return activation(graph, add(graph, x, t, "op"), {Activation::relu}, "behind");
    }));
    all.back().operation.rewrite = [](Graph& graph) { fuse(graph); };
  }
  for (const ImageShape& shape : kImages) {
    all.push_back(images(shape, "channels last", ++seed, [](Graph& graph, ValueId x) {
      return flatten_channels_last(graph, x, "op");
    }));
    all.push_back(
        images(shape, "bias", ++seed, [channels = shape.channels](Graph& graph, ValueId x) {
          const ValueId bias = graph.add_parameter({.name = "op.bias", .shape = {channels}});
          return bias_add(graph, x, bias, "op");
        }));
  }
}

}  // namespace

std::vector<CatalogueCase> layer_catalogue(std::uint64_t seed) {
  Cases all;
  add_activations(all, seed + 1000);
  add_batch_norms(all, seed + 2000);
  add_activated_batch_norms(all, seed + 2500);
  add_pooled_batch_norms(all, seed + 2700);
  add_poolings(all, seed + 3000);
  add_dropouts(all, seed + 4000);
  add_moves(all, seed + 5000);
  return all;
}

}  // namespace vktrain::nn
