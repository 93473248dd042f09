// Random experiments through their text and back, and damaged texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "nn/experiment/experiment_toml.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

ScheduleSpec random_schedule(std::mt19937_64& random) {
  const auto real = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  ScheduleSpec s;
  s.kind = static_cast<ScheduleKind>(random() % 7);
  s.warmup_steps = static_cast<std::int64_t>(random() % 99);
  const auto any_of = [&](std::initializer_list<ScheduleKind> kinds) {
    return std::find(kinds.begin(), kinds.end(), s.kind) != kinds.end();
  };
  using enum ScheduleKind;
  if (s.kind == step) s.step_size = 7;
  if (s.kind == multi_step) s.milestones = {2, 5, 11};
  if (any_of({step, multi_step, exponential, plateau})) s.gamma = real(0.01, 1);
  if (any_of({cosine, plateau})) s.min_learning_rate = real(0, 1e-3);
  if (s.kind == one_cycle) {
    s.warmup_fraction = real(0, 1);
    s.div_factor = real(1, 99);
    s.final_div_factor = real(1, 1e6);
  }
  if (s.kind == plateau) {
    s.patience = 3;
    s.threshold = real(0, 0.1);
  }
  return s;
}

// Layers of every kind with settings drawn at random, in the order of a graph with branches.
std::vector<LayerSpec> random_layers(std::mt19937_64& random) {
  const auto size = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  std::vector<LayerSpec> layers;
  layers.reserve(16);  // references stay good
  const auto push = [&](LayerType type) -> LayerSpec& {
    return layers.emplace_back(default_layer(type));
  };
  LayerSpec& stem = push(LayerType::conv2d);
  stem.name = "stem";
  stem.out = 2 * size(1, 9);
  stem.kernel = {size(1, 5), size(1, 5)};
  stem.padding_rule = PaddingRule::same;
  stem.bias_init = Initializer{InitializerKind::constant, 0.25};
  push(LayerType::leaky_relu).alpha = 0.125;
  LayerSpec& grouped = push(LayerType::conv2d);
  grouped.out = stem.out;
  grouped.kernel = {3, 3};
  grouped.padding = {1, 1};
  grouped.groups = 2;
  grouped.name = "branch";
  LayerSpec& sum = push(LayerType::add);
  sum.name = "sum";
  sum.inputs = {"stem", "branch"};
  push(LayerType::concat).inputs = {"sum", "1", "stem"};
  LayerSpec& pool = push(size(0, 1) == 0 ? LayerType::max_pool2d : LayerType::avg_pool2d);
  pool.kernel = {2, 3};
  pool.stride = Pair{size(1, 2), 1};
  pool.padding = {0, 1};
  if (pool.type == LayerType::avg_pool2d) pool.count_include_pad = false;
  push(LayerType::gelu);
  push(LayerType::dropout2d).p = 0.375;
  push(LayerType::silu);
  push(size(0, 1) == 0 ? LayerType::flatten : LayerType::global_avg_pool2d);
  if (layers.back().type == LayerType::flatten) layers.back().order = FlattenOrder::channels_last;
  push(LayerType::linear).out = 10;
  return layers;
}

// An experiment with every setting that its optimizer reads drawn at random.
Experiment random_experiment(std::mt19937_64& random, OptimizerKind kind,
                             OptimizerDefinition definition) {
  const auto real = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  const auto integer = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  Experiment e;
  e.id = "random-1.5_x";
  e.description = "quotes \" and \\ and\nlines\tand \x01 and \xc3\xa4";
  e.notes = {"", "one", "a, b"};
  e.report = "a";
  e.data = {"mnist", 7, real(-1, 1), real(1e-3, 3), SplitRule{}, false};
  e.data.split.fraction = real(0.01, 0.9);
  e.model.input = {integer(1, 3), integer(1, 9), integer(1, 9)};
  e.model.layers = {{.type = LayerType::flatten}, {}, {}, {}, {}, {}, {}};
  e.model.layers[1].type = LayerType::linear;
  e.model.layers[1].out = integer(1, 99);
  e.model.layers[1].bias = false;
  e.model.layers[1].weight_init = Initializer{InitializerKind::normal, real(1e-9, 1)};
  e.model.layers[2].type = LayerType::batch_norm;
  e.model.layers[2].eps = real(1e-12, 1);
  e.model.layers[2].momentum = real(0, 1);
  e.model.layers[3].type = LayerType::elu;
  e.model.layers[3].alpha = real(0, 2);
  e.model.layers[4].type = LayerType::dropout;
  e.model.layers[4].p = real(0, 0.99);
  e.model.layers[5].type = LayerType::linear;
  e.model.layers[5].out = 7;
  e.model.layers[5].bias_init = Initializer{InitializerKind::constant, real(-1, 1)};
  e.model.layers[6].type = LayerType::softmax;
  e.training = {integer(1, 99),
                integer(0, 99),
                integer(1, 999),
                integer(1, 999),
                99,
                std::uint64_t{1} << 62,
                {1, 2, 3},
                integer(0, 9),
                0,
                0,
                0,
                static_cast<Precision>(integer(0, 1))};
  e.training.label_smoothing = real(0, 0.99);
  e.schedule = random_schedule(random);
  e.early_stopping = {integer(1, 9), static_cast<Monitor>(integer(0, 1)), real(0, 1), false};
  e.augmentation = {real(0, 1), 0, 0};
  OptimizerConfig& o = e.optimizer;
  o = default_optimizer(kind, definition);
  o.learning_rate = real(0, 1);
  o.weight_decay = real(0, 1);
  // Clipping and penalties exclude each other.
  if (integer(0, 1) == 0) {
    o.l1 = real(0, 1);
    o.l2 = real(0, 1e-7);
    e.training.clip_norm = e.training.clip_value = 0;
  }
  if (kind == OptimizerKind::sgd) {
    o.momentum = real(0.1, 1);
    o.nesterov = true;
  } else {
    o.epsilon = real(1e-12, 1e-3);
  }
  if (kind == OptimizerKind::adam || kind == OptimizerKind::adamw) {
    o.beta1 = real(0, 0.99);
    o.beta2 = real(0, 0.99);
  }
  if (kind == OptimizerKind::rmsprop) {
    o.momentum = real(0, 0.9);
    o.alpha = real(0.1, 0.99);
  }
  if (kind == OptimizerKind::adagrad) o.initial_accumulator = real(0, 1);
  e.learning_rates = {0.1, 1e-300, real(0, 1)};
  e.init = {{InitializerKind::normal, real(1e-5, 2)}, {InitializerKind::constant, real(-2, 2)}};
  e.metrics = {AccuracyRule::batch_mean, TrainMetric::last_batch, true};
  e.reported = {Completeness::prose_only,
                real(0, 1),
                real(0, 1),
                real(0, 1),
                real(0, 1),
                real(0, 9),
                real(0, 9),
                real(0, 9),
                real(0, 999),
                real(0, 999),
                integer(0, 1 << 30),
                integer(1, 9),
                std::vector<std::int64_t>(49, 7),  // of 7 classes
                {"lr: guessed", "x: y"}};
  return e;
}

TEST(ExperimentRoundTrip, TheResolvedConfigReadsBackExactly) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200; ++i) {
    for (const auto definition : {OptimizerDefinition::pytorch, OptimizerDefinition::keras}) {
      const auto kind = static_cast<OptimizerKind>(i % 5);
      const Experiment experiment = random_experiment(random, kind, definition);
      const std::string text = to_toml(experiment);
      SCOPED_TRACE(text);
      const Experiment again = parse_experiment(text, "text");
      ASSERT_EQ(again, experiment);
      ASSERT_EQ(to_toml(again), text);
    }
  }
}

TEST(ExperimentRoundTrip, GraphsOfLayersReadBackExactly) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 100; ++i) {
    Experiment e = parse_experiment("model.layers = [\"flatten\", \"linear 10\"]", "small");
    e.model.layers = random_layers(random);
    e.augmentation = {0.5, 27, 3};
    e.training.clip_norm = 0.3;
    e.training.clip_value = 1e-7;
    const std::string text = to_toml(e);
    SCOPED_TRACE(text);
    const Experiment again = parse_experiment(text, "text");
    ASSERT_EQ(again.model.layers.size(), e.model.layers.size());
    for (std::size_t k = 0; k < e.model.layers.size(); ++k) {
      EXPECT_EQ(again.model.layers[k], e.model.layers[k]) << k;
    }
    ASSERT_EQ(again, e);
    ASSERT_EQ(to_toml(again), text);
  }
}

TEST(ExperimentRoundTrip, DamagedTextNeverDoesMoreThanThrow) {
  std::mt19937_64 random(11);
  const std::string good =
      to_toml(random_experiment(random, OptimizerKind::sgd, OptimizerDefinition::pytorch));
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good.substr(0, random() % good.size());
    for (int k = 0; k < 3 && !bad.empty(); ++k) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    try {
      parse_experiment(bad, "bad");
    } catch (const UsageError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 2000);
}

}  // namespace
}  // namespace vktrain::nn
