#include "nn/experiment/experiment_toml.h"

#include <gtest/gtest.h>

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
  expect_refused("[model]\nlayers = [\"flatten\", \"relu x=1\", \"linear 10\"]\n",
                 {"file.toml:2", "relu setting \"x\"", "known are 'name', 'inputs'"});
  expect_refused("[model]\nlayers = [\"conv2d 8 kernal=3\"]\n",
                 {"file.toml:2", "conv2d setting", "did you mean 'kernel'?"});
  expect_refused("[model]\nlayers = [\"maxpool2d 2\"]\n", {"did you mean 'max_pool2d'?"});
  expect_refused(with("[schedule]\nkind = \"cosin\"\n"),
                 {"file.toml:4", "schedule.kind", "did you mean 'cosine'?"});
  expect_refused(with("[early_stopping]\nmonitor = \"val_los\"\n"),
                 {"file.toml:4", "did you mean 'val_loss'?"});
  expect_refused(with("[augmentation]\nflip = 1\n"), {"file.toml:4", "[augmentation]"});
  expect_refused("[[layers]]\ntype = \"flatten\"\n",
                 {"file.toml:1", "\"layers\"", "did you mean 'layer'?"});
  expect_refused("[model]\nlayers = [\"flatten\", \"linear 10 p=0.5\"]\n",
                 {"file.toml:2", "linear setting \"p\""});
  expect_refused("[model]\nlayers = [\"linear 10 5\"]\n",
                 {"file.toml:2", "\"5\"", "needs a name", "bias=5"});
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
  const auto layer = [](std::string_view text) {
    return "[model]\nlayers = [\"" + std::string(text) + "\", \"flatten\", \"linear 10\"]\n";
  };
  const std::string conv = "file.toml:2: model.layers[0] (conv2d): ";
  expect_refused(layer("conv2d 8"), {conv + "kernel must be", "[3, 5]", "but it is not set"});
  expect_refused(layer("conv2d 8 3"), {"\"3\" after the layer conv2d", "\"kernel=3\""});
  expect_refused(layer("conv2d 8 kernel=0"), {conv + "kernel", "from 1 to 4096", "0"});
  expect_refused(layer("conv2d 8 kernel=3x0"), {conv + "kernel", "\"3x0\""});
  expect_refused(layer("conv2d 8 kernel=3x5x7"), {conv + "kernel", "\"3x5x7\""});
  expect_refused(layer("conv2d 8 kernel=x"), {conv + "kernel", "\"x\""});
  expect_refused(layer("conv2d 8 kernel=3 stride=0"), {conv + "stride", "from 1"});
  expect_refused(layer("conv2d 8 kernel=3 padding=-1"), {conv + "padding", "from 0", "-1"});
  expect_refused(layer("conv2d 8 kernel=3 padding=sane"),
                 {conv + "padding", "\"same\" or \"valid\"", "\"sane\""});
  expect_refused(layer("conv2d 8 kernel=3 groups=0"), {conv + "groups"});
  expect_refused(layer("conv2d 8 kernel=3 dilation=0"), {conv + "dilation"});
  expect_refused(layer("max_pool2d"), {"(max_pool2d): kernel"});
  expect_refused(layer("max_pool2d 2 count_include_pad=true"), {"max_pool2d setting"});
  expect_refused(layer("flatten order=last"), {"(flatten): order", "\"last\""});
  expect_refused(layer("relu name=3a"), {"(relu): name", "letter", "\"3a\""});
  expect_refused(layer("relu name=input"), {"(relu): name", "\"input\""});
  expect_refused(layer("relu name=a.b"), {"(relu): name", "\"a.b\""});
  expect_refused(layer("relu inputs=a,,b"), {"(relu): inputs", "\"a,,b\""});
  expect_refused(layer("relu inputs="), {"(relu): inputs", "\"\""});
  expect_refused("[model]\nlayers = [{type = \"add\", inputs = [1, 2]}]\n",
                 {"(add): inputs", "a list"});
  expect_refused("[model]\nlayers = [{type = \"conv2d\", out = 8, kernel = [3, 3, 3]}]\n",
                 {conv + "kernel", "a list"});
  expect_refused(with("[training]\nlabel_smoothing = 1\n"),
                 {"file.toml:4", "training.label_smoothing", "below 1", "1"});
  expect_refused(with("[training]\nclip_norm = -1\n"), {"training.clip_norm", "-1"});
  expect_refused(with("[training]\nclip_value = inf\n"), {"training.clip_value", "finite"});
  expect_refused(with("[schedule]\nkind = \"step\"\nstep_size = 0\n"),
                 {"file.toml:5", "schedule.step_size", "from 1"});
  expect_refused(with("[schedule]\nkind = \"one_cycle\"\nwarmup_fraction = 1.5\n"),
                 {"schedule.warmup_fraction", "from 0 to 1", "1.5"});
  expect_refused(with("[early_stopping]\npatience = -1\n"), {"early_stopping.patience", "-1"});
  expect_refused(with("[augmentation]\nhorizontal_flip = 2\n"),
                 {"augmentation.horizontal_flip", "from 0 to 1"});
  expect_refused("layer = 3\n", {"file.toml:1", "layer", "[[layer]]", "3"});
  expect_refused(with("[[layer]]\ntype = \"flatten\"\n"),
                 {"file.toml:2", "given twice", "[[layer]]", "model.layers"});
  expect_refused("[model\n", {"file.toml:1", "not TOML"});
  expect_refused(with("[data]\nmean = 1\nmean = 2\n"), {"file.toml:5", "not TOML"});
}

TEST(ExperimentToml, SettingsThatNothingReadsAreRefused) {
  expect_refused(with("[optimizer]\nkind = \"adam\"\nmomentum = 0.9\n"),
                 {"file.toml:5", "optimizer.momentum", "adam"});
  expect_refused(with("[optimizer]\ndefinition = \"keras\"\ndampening = 0.1\n"),
                 {"optimizer.dampening"});
  expect_refused(with("[schedule]\nkind = \"cosine\"\ngamma = 0.5\n"),
                 {"file.toml:5", "schedule.gamma", "the schedule cosine has no such setting"});
  expect_refused(with("[schedule]\npatience = 3\n"),
                 {"schedule.patience", "the schedule constant has no such setting"});
}

TEST(ExperimentToml, ConvolutionsInShorthandAndInTables) {
  const Experiment a = parse_experiment(R"([model]
layers = [
  "conv2d 8 kernel=3x5 stride=2 padding=1x2 bias=false name=stem", "leaky_relu 0.1",
  "max_pool2d 2", "conv2d 6 kernel=3 padding=same dilation=2 groups=2", "gelu", "dropout2d 0.25",
  "avg_pool2d 3 stride=1 padding=1 count_include_pad=false", "batch_norm", "silu",
  "flatten order=channels_last", "leaky_relu", "linear 10 inputs=10"])",
                                        "a");
  const Experiment b = parse_experiment(R"(
layer = [
  {type = "conv2d", out = 8, kernel = [3, 5], stride = 2, padding = [1, 2], bias = false,)"
                                        R"( name = "stem"},
  {type = "leaky_relu", alpha = 0.1}, {type = "max_pool2d", kernel = "2x2"},
  {type = "conv2d", out = 6, kernel = 3, padding = "same", dilation = 2, groups = 2},
  {type = "gelu"}, {type = "dropout2d", p = 0.25},
  {type = "avg_pool2d", kernel = 3, stride = 1, padding = 1, count_include_pad = false},
  {type = "batch_norm"}, {type = "silu"}, {type = "flatten", order = "channels_last"},
  {type = "leaky_relu"}, {type = "linear", out = 10, inputs = ["10"]}])",
                                        "b");
  EXPECT_EQ(a, b);
  const LayerSpec& stem = a.model.layers[0];
  EXPECT_EQ(stem.name, "stem");
  EXPECT_EQ(stem.kernel, (Pair{3, 5}));
  EXPECT_EQ(stem.stride, (Pair{2, 2}));
  EXPECT_EQ(stem.padding, (Pair{1, 2}));
  EXPECT_FALSE(stem.bias);
  EXPECT_EQ(a.model.layers[2].stride, std::nullopt);
  EXPECT_EQ(a.model.layers[3].padding_rule, PaddingRule::same);
  EXPECT_EQ(a.model.layers[3].dilation, (Pair{2, 2}));
  EXPECT_EQ(a.model.layers[3].groups, 2);
  EXPECT_EQ(a.model.layers[10].alpha, 0.01);
  EXPECT_EQ(a.model.layers[11].inputs, (std::vector<std::string>{"10"}));
  // 1 x 28 x 28 -> 8 x 14 x 14 -> 8 x 7 x 7 -> 6 x 7 x 7 until the end.
  EXPECT_EQ(parameter_count(a), 8 * 15 + (6 * 4 * 9 + 6) + 2 * 6 + (294 * 10 + 10));
  EXPECT_EQ(parse_experiment(to_toml(a), "a"), a);
}

// In TOML 0x1 is a hexadecimal number.
TEST(ExperimentToml, PairsWithAZeroAreNotHexadecimal) {
  const Experiment e = parse_experiment(R"([model]
layers = ["conv2d 8 kernel=1x3 padding=0x1",
          {type = "conv2d", out = 8, kernel = "1x3", padding = "0x1"}, "flatten", "linear 10"])",
                                        "e");
  EXPECT_EQ(e.model.layers[0].padding, (Pair{0, 1}));
  EXPECT_EQ(e.model.layers[1].padding, (Pair{0, 1}));
}

TEST(ExperimentToml, ArrayTablesOfLayersMeanModelLayers) {
  const Experiment a = parse_experiment(R"([model]
input = [3, 8, 8]
layers = ["conv2d 4 kernel=3 padding=1 name=a", "relu name=b", "add inputs=a,b name=sum",
          "flatten", "linear 10"])",
                                        "a");
  const Experiment b = parse_experiment(R"([model]
input = [3, 8, 8]
[[layer]]
type = "conv2d"
name = "a"
out = 4
kernel = 3
padding = 1
[[layer]]
type = "relu"
name = "b"
[[layer]]
type = "add"
name = "sum"
inputs = ["a", "b"]
[[layer]]
type = "flatten"
[[layer]]
type = "linear"
out = 10)",
                                        "b");
  EXPECT_EQ(a, b);
  EXPECT_EQ(parse_experiment(to_toml(a), "a"), a);
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

TEST(ExperimentToml, ChangingTheScheduleGivesItsDefaultsButKeepsTheWarmUp) {
  Experiment e =
      parse_experiment(with("[schedule]\nkind = \"step\"\ngamma = 0.5\nwarmup_steps = 7\n"), "f");
  apply_overrides(e, std::vector<std::string>{"schedule.threshold=0.25", "schedule.kind=plateau"});
  EXPECT_EQ(e.schedule,
            (ScheduleSpec{.kind = ScheduleKind::plateau, .threshold = 0.25, .warmup_steps = 7}));
  set_value(e, "schedule.kind", "cosine");
  EXPECT_EQ(e.schedule, (ScheduleSpec{.kind = ScheduleKind::cosine, .warmup_steps = 7}));
  EXPECT_THROW(set_value(e, "schedule.gamma", "0.5"), UsageError);
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
