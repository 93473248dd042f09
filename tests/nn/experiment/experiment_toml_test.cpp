#include "nn/experiment/experiment_toml.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/nn/expect_error.h"

namespace vktrain::nn {
namespace {

constexpr std::string_view kSmall = R"([model]
layers = ["flatten", "linear 10"]
)";

std::string with(std::string_view more) { return std::string(kSmall) + std::string(more); }

void expect_refused(const std::string& toml, std::initializer_list<std::string_view> parts) {
  SCOPED_TRACE(toml);
  try {
    parse_experiment(toml, "file.toml");
    ADD_FAILURE() << "was accepted";
  } catch (const UsageError& error) {
    const std::string message = error.what();
    for (const std::string_view part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' is not in: " << message;
    }
    EXPECT_TRUE(message.ends_with(".") || message.ends_with("?")) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(ExperimentToml, AbsentKeysHaveTheDefaultsOfTheOptimizer) {
  const Experiment plain = parse_experiment(kSmall, "f");
  EXPECT_EQ(plain.optimizer, default_optimizer(OptimizerKind::sgd, OptimizerDefinition::pytorch));
  EXPECT_EQ(plain.data, DataSpec());
  EXPECT_EQ(plain.training, TrainingSpec());
  const Experiment keras =
      parse_experiment(with("[optimizer]\nkind = \"adagrad\"\ndefinition = \"keras\"\n"), "f");
  EXPECT_EQ(keras.optimizer, default_optimizer(OptimizerKind::adagrad, OptimizerDefinition::keras));
  EXPECT_EQ(keras.optimizer.initial_accumulator, 0.1);
}

TEST(ExperimentToml, ShorthandAndInlineTablesOfLayersMeanTheSame) {
  const Experiment a = parse_experiment(R"([model]
layers = ["flatten", "linear 20 bias=false weight_init=normal:0.5", "elu 0.5", "dropout 0.25",
          "batch_norm eps=0.001 momentum=0.2", "linear 10 bias_init=zeros", "softmax"])",
                                        "a");
  const Experiment b = parse_experiment(R"([model]
layers = [{type = "flatten"},
          {type = "linear", out = 20, bias = false, weight_init = "normal:0.5"},
          {type = "elu", alpha = 0.5}, {type = "dropout", p = 0.25},
          {type = "batch_norm", eps = 1e-3, momentum = 0.2},
          {type = "linear", out = 10, bias_init = "zeros"}, {type = "softmax"}])",
                                        "b");
  EXPECT_EQ(a, b);
  const LayerSpec& linear = a.model.layers[1];
  EXPECT_EQ(linear.type, LayerType::linear);
  EXPECT_EQ(linear.out, 20);
  EXPECT_FALSE(linear.bias);
  EXPECT_EQ(linear.weight_init, (Initializer{InitializerKind::normal, 0.5}));
  EXPECT_EQ(linear.bias_init, std::nullopt);
  EXPECT_EQ(a.model.layers[3].p, 0.25);
  EXPECT_EQ(a.model.layers[4].eps, 0.001);
  EXPECT_EQ(parameter_count(a), 784 * 20 + 2 * 20 + 20 * 10 + 10);
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
  e.training = {integer(1, 99),         integer(0, 99), integer(1, 999), integer(1, 999), 99,
                std::uint64_t{1} << 62, {1, 2, 3},      integer(0, 9)};
  OptimizerConfig& o = e.optimizer;
  o = default_optimizer(kind, definition);
  o.learning_rate = real(0, 1);
  o.weight_decay = real(0, 1);
  o.l1 = real(0, 1);
  o.l2 = real(0, 1e-7);
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
                {"lr: guessed", "x: y"}};
  return e;
}

TEST(ExperimentToml, TheResolvedConfigReadsBackExactly) {
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

TEST(ExperimentToml, EveryInitialiserReadsBack) {
  for (const char* text : {"pytorch_default", "xavier_normal", "xavier_uniform", "kaiming_normal",
                           "kaiming_uniform", "zeros", "ones", "normal:0.01", "constant:-2.5"}) {
    EXPECT_EQ(to_string(parse_initializer(text)), text);
  }
  EXPECT_EQ(parse_initializer("glorot_uniform"), parse_initializer("xavier_uniform"));
  EXPECT_EQ(parse_initializer("normal:1"), (Initializer{InitializerKind::normal, 1}));
  for (const char* text : {"normal", "normal:", "normal:0", "normal:-1", "normal:nan", "normal:1x",
                           "constant:inf", "zeros:1", "xavier_normal:2", "", "kaiming"}) {
    EXPECT_THROW(parse_initializer(text), UsageError) << text;
  }
}

TEST(ExperimentToml, UnknownNamesAreRefusedWithTheLineAndASuggestion) {
  expect_refused(with("[optimizer]\nlerning_rate = 0.1\n"),
                 {"file.toml:4", "lerning_rate", "did you mean 'learning_rate'?"});
  expect_refused(with("[optimizer]\nlr = 0.1\n"),
                 {"file.toml:4", "\"lr\"", "did you mean 'learning_rate'?"});
  expect_refused(with("[optimiser]\n"), {"file.toml:3", "did you mean 'optimizer'?"});
  expect_refused(with("[optimizer]\nkind = \"adm\"\n"),
                 {"file.toml:4", "optimizer.kind", "did you mean 'adam'?"});
  expect_refused(with("[init]\nweight = \"xavier_norml\"\n"),
                 {"file.toml:4", "init.weight", "did you mean 'xavier_normal'?"});
  expect_refused("[model]\nlayers = [\n  \"flatten\",\n  \"liner 10\",\n]\n",
                 {"file.toml:4", "model.layers[1]", "did you mean 'linear'?"});
  expect_refused("[model]\nlayers = [\"flatten\", {type = \"linear\", units = 10}]\n",
                 {"file.toml:2", "units", "known are 'out', 'bias'"});
  expect_refused("[model]\nlayers = [\"flatten x=1\", \"linear 10\"]\n",
                 {"file.toml:2", "flatten", "no settings"});
  expect_refused("[model]\nlayers = [\"flatten\", \"linear 10 p=0.5\"]\n",
                 {"file.toml:2", "linear setting \"p\""});
  expect_refused("[model]\nlayers = [\"linear 10 5\"]\n", {"file.toml:2", "\"5\"", "no name"});
  expect_refused("[model]\nlayers = [\"\"]\n", {"file.toml:2", "layer type"});
  expect_refused("[model]\nlayers = [{out = 3}]\n", {"file.toml:2", "needs a type"});
}

TEST(ExperimentToml, WrongTypesAndRangesAreRefusedWithBoth) {
  expect_refused(with("[training]\nepochs = \"ten\"\n"),
                 {"file.toml:4", "training.epochs", "integer", "\"ten\""});
  expect_refused(with("[training]\nepochs = 1.5\n"), {"integer", "1.5"});
  expect_refused(with("[training]\nbatch_size = 0\n"), {"training.batch_size", "from 1", "0"});
  expect_refused(with("[training]\nseed = -1\n"), {"training.seed", "-1"});
  expect_refused(with("[data]\nshuffle = 1\n"), {"data.shuffle", "true or false", "1"});
  expect_refused(with("[data]\nstd = 0\n"), {"data.std", "greater than 0", "0"});
  expect_refused(with("[data]\nmean = nan\n"), {"data.mean", "finite", "nan"});
  expect_refused(with("[data]\nsplit = \"half\"\n"), {"file.toml:4", "data.split", "half"});
  expect_refused(with("[data]\ndataset = \"\"\n"), {"data.dataset", "non-empty"});
  expect_refused(with("[data]\ndataset = 1979-05-27\n"), {"data.dataset", "date"});
  expect_refused("data = 3\n", {"file.toml:1", "data", "section"});
  expect_refused("[id]\n", {"file.toml:1", "id", "text", "a table"});
  expect_refused("[[data]]\n", {"file.toml:1", "data", "section", "a list"});
  expect_refused("[model]\ninput = [1, 28]\n", {"model.input", "channels", "a list"});
  expect_refused("[model]\nlayers = [7]\n", {"model.layers[0]", "a layer", "7"});
  expect_refused("[model]\nlayers = [\"flatten\", \"linear ten\"]\n",
                 {"file.toml:2", "model.layers[1] (linear): out", "integer", "\"ten\""});
  expect_refused("[model]\nlayers = [\"flatten\", \"linear\"]\n",
                 {"file.toml:2", "model.layers[1] (linear): out"});
  expect_refused("[model]\nlayers = [\"dropout 1\"]\n", {"(dropout): p", "below 1"});
  // 0 in 32 bits.
  expect_refused("[model]\nlayers = [\"flatten\", \"batch_norm eps=1e-300\", \"linear 10\"]\n",
                 {"file.toml:2", "(batch_norm): eps", "at least 1e-30", "1e-300"});
  expect_refused(with("[optimizer]\nkind = \"adam\"\neps = 1e-31\n"),
                 {"file.toml:5", "optimizer.eps", "at least 1e-30", "1e-31"});
  expect_refused("[model\n", {"file.toml:1", "not TOML"});
  expect_refused(with("[data]\nmean = 1\nmean = 2\n"), {"file.toml:5", "not TOML"});
}

TEST(ExperimentToml, SettingsThatNothingReadsAreRefused) {
  expect_refused(with("[optimizer]\nkind = \"adam\"\nmomentum = 0.9\n"),
                 {"file.toml:5", "optimizer.momentum", "adam"});
  expect_refused(with("[optimizer]\ndefinition = \"keras\"\ndampening = 0.1\n"),
                 {"optimizer.dampening"});
}

TEST(ExperimentToml, DamagedTextNeverDoesMoreThanThrow) {
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

TEST(ExperimentToml, SetValueSetsAnyKey) {
  Experiment e = parse_experiment(kSmall, "f");
  set_value(e, "optimizer.learning_rate", "0.25");
  set_value(e, "data.split", "first:5000");
  set_value(e, "data.shuffle", "false");
  set_value(e, "training.seeds", "3, 4");
  set_value(e, "optimizer.learning_rates", "[0.1, 0.2]");
  set_value(e, "model.layers", R"(["flatten", "linear 7", "tanh", "linear 10"])");
  set_value(e, "description", "say \"it\"");
  set_value(e, "id", "123");
  EXPECT_EQ(e.optimizer.learning_rate, 0.25);
  EXPECT_EQ(e.data.split, parse_split_rule("first:5000"));
  EXPECT_FALSE(e.data.shuffle);
  EXPECT_EQ(e.training.seeds, (std::vector<std::uint64_t>{3, 4}));
  EXPECT_EQ(e.learning_rates, (std::vector<double>{0.1, 0.2}));
  EXPECT_EQ(e.model.layers.size(), 4u);
  EXPECT_EQ(e.description, "say \"it\"");
  EXPECT_EQ(e.id, "123");
  EXPECT_EQ(replicas_of(e), (std::vector<ReplicaSpec>{{3, 0.1}, {3, 0.2}, {4, 0.1}, {4, 0.2}}));
}

TEST(ExperimentToml, SetValueRefusesUnknownKeysAndBadValues) {
  Experiment e = parse_experiment(kSmall, "f");
  const Experiment before = e;
  const auto refused = [&](std::string_view key, std::string_view value, std::string_view part) {
    try {
      set_value(e, key, value);
      ADD_FAILURE() << key << "=" << value << " was accepted";
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  refused("optimizer.lerning_rate", "1", "did you mean 'optimizer.learning_rate'?");
  refused("learning_rate", "1", "did you mean 'optimizer.learning_rate'?");
  // PyTorch's name; in letters, eps is nearer.
  refused("optimizer.lr", "3",
          "there is no key \"optimizer.lr\"; did you mean "
          "'optimizer.learning_rate'?");
  refused("lr", "3", "did you mean 'optimizer.learning_rate'?");
  refused("optimiser.lr", "3", "did you mean 'optimizer.learning_rate'?");
  refused("optimiser.learning_rate", "3", "did you mean 'optimizer.learning_rate'?");
  refused("training.learning_rate", "3", "did you mean 'optimizer.learning_rate'?");
  refused("data.seed", "3", "did you mean 'training.seed'?");
  refused("model.layer", "3", "did you mean 'model.layers'?");
  refused("epoch", "3", "did you mean 'training.epochs'?");
  refused("penalty.strength", "3",
          "there is no key \"penalty.strength\"; the keys of penalty are l1, l2.");
  refused("penalty", "3", "the keys of penalty are l1, l2.");
  refused("", "1", "the sections are data, model, training, optimizer,");
  refused("absent.strength", "1", "the sections are data, model, training, optimizer,");
  refused("training.seed", "9223372036854775808",
          "training.seed must be an integer from 0 to 9223372036854775807, but it is "
          "\"9223372036854775808\".");
  refused("optimizer", "1", "optimizer");
  refused("optimizer.learning_rate", "fast", "\"fast\"");
  refused("optimizer.learning_rate", "", "\"\"");
  refused("optimizer.learning_rate", "1\nb = 2", "number");
  refused("optimizer.learning_rate", "-1", "-1");
  refused("training.epochs", "1e3", "integer");
  refused("optimizer.beta1", "0.5", "sgd");
  refused("description", "\xff", "UTF-8");
  EXPECT_EQ(e, before);
}

TEST(ExperimentToml, ChangingTheOptimizerGivesItsDefaultsButKeepsRateAndPenalties) {
  Experiment e = parse_experiment(kSmall, "f");
  const std::vector<std::string> overrides = {"optimizer.beta1=0.5", "penalty.l2=0.25",
                                              "optimizer.learning_rate=0.125",
                                              "optimizer.kind=adam", "optimizer.definition=keras"};
  apply_overrides(e, overrides);
  OptimizerConfig expected = default_optimizer(OptimizerKind::adam, OptimizerDefinition::keras);
  expected.learning_rate = 0.125;
  expected.beta1 = 0.5;
  expected.l2 = 0.25;
  EXPECT_EQ(e.optimizer, expected);
  set_value(e, "optimizer.kind", "adagrad");
  expected = default_optimizer(OptimizerKind::adagrad, OptimizerDefinition::keras);
  expected.learning_rate = 0.125;
  expected.l2 = 0.25;
  EXPECT_EQ(e.optimizer, expected);
  EXPECT_THROW(apply_overrides(e, std::vector<std::string>{"training.epochs"}), UsageError);
  EXPECT_THROW(apply_overrides(e, std::vector<std::string>{"data.classes=9"}), UsageError);
}

}  // namespace
}  // namespace vktrain::nn
