// Trains as tests/golden/*.json tell and compares every step with what PyTorch got; see
// tests/golden/README.md for the files and the tolerances.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "nn/data/fashion_mnist.h"
#include "tests/nn/training/training_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;
using nlohmann::json;

constexpr double kTolerance = 1e-4;  // relative

std::vector<std::string> golden_cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(VKTRAIN_GOLDEN_DIR)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

json load(const std::string& name) {
  std::ifstream file(std::filesystem::path(VKTRAIN_GOLDEN_DIR) / (name + ".json"));
  return json::parse(file);
}

LayerType layer_type_of(const json& layer) {
  const auto type = layer.at("type").get<std::string>();
  for (int i = 0; i <= static_cast<int>(LayerType::softmax); ++i) {
    const auto known = static_cast<LayerType>(i);
    if (name_of(known) == type) return known;
  }
  throw std::invalid_argument("unknown layer " + type);
}

// Reads `field` from the layer's `key`, where it has one.
template <typename T>
void read(const json& layer, const char* key, T& field) {
  if (layer.contains(key)) field = layer.at(key).get<T>();
}

template <typename T>
void read(const json& layer, const char* key, std::optional<T>& field) {
  if (layer.contains(key)) field = layer.at(key).get<T>();
}

LayerSpec layer_of(const json& layer) {
  LayerSpec spec{.type = layer_type_of(layer)};
  read(layer, "name", spec.name);
  read(layer, "inputs", spec.inputs);
  read(layer, "out", spec.out);
  read(layer, "bias", spec.bias);
  read(layer, "kernel", spec.kernel);
  read(layer, "stride", spec.stride);
  read(layer, "dilation", spec.dilation);
  read(layer, "groups", spec.groups);
  read(layer, "count_include_pad", spec.count_include_pad);
  read(layer, "epsilon", spec.eps);
  read(layer, "momentum", spec.momentum);
  read(layer, "p", spec.p);
  read(layer, "alpha", spec.alpha);
  if (layer.value("padding", json()) == "same") {
    spec.padding_rule = PaddingRule::same;
  } else {
    read(layer, "padding", spec.padding);
  }
  if (layer.value("order", "") == "channels_last") spec.order = FlattenOrder::channels_last;
  return spec;
}

OptimizerConfig optimizer_of(const json& golden) {
  const json& o = golden.at("optimizer");
  const auto kind = o.at("kind").get<std::string>();
  OptimizerConfig config;
  for (const auto& [name, known] : {std::pair{"sgd", OptimizerKind::sgd},
                                    {"adam", OptimizerKind::adam},
                                    {"adamw", OptimizerKind::adamw},
                                    {"rmsprop", OptimizerKind::rmsprop},
                                    {"adagrad", OptimizerKind::adagrad}}) {
    if (kind == name) config.kind = known;
  }
  const bool keras = o.at("definition") == "keras";
  config = default_optimizer(config.kind,
                             keras ? OptimizerDefinition::keras : OptimizerDefinition::pytorch);
  for (const auto& [key, value] : o.items()) {
    if (key == "kind" || key == "definition") continue;
    if (key == "nesterov") {
      config.nesterov = value;
      continue;
    }
    double* number = key == "learning_rate"         ? &config.learning_rate
                     : key == "momentum"            ? &config.momentum
                     : key == "dampening"           ? &config.dampening
                     : key == "weight_decay"        ? &config.weight_decay
                     : key == "beta1"               ? &config.beta1
                     : key == "beta2"               ? &config.beta2
                     : key == "epsilon"             ? &config.epsilon
                     : key == "alpha"               ? &config.alpha
                     : key == "initial_accumulator" ? &config.initial_accumulator
                                                    : nullptr;
    if (!number) throw std::invalid_argument("unknown setting " + key);
    *number = value;
  }
  config.l1 = golden.at("penalty").at("l1");
  config.l2 = golden.at("penalty").at("l2");
  return config;
}

Experiment experiment_of(const json& golden) {
  Experiment experiment;
  experiment.id = golden.at("case");
  experiment.data.mean = golden.at("mean");
  experiment.data.std = golden.at("std");
  experiment.data.split.kind = SplitRule::Kind::none;
  experiment.data.shuffle = false;
  for (const json& layer : golden.at("layers")) {
    experiment.model.layers.push_back(layer_of(layer));
  }
  experiment.training.epochs = 1;
  experiment.training.steps = golden.at("steps");
  experiment.training.batch_size = golden.at("batch_size");
  experiment.training.log_every = 1;
  experiment.training.label_smoothing = golden.value("label_smoothing", 0.0);
  experiment.training.clip_norm = golden.value("clip_norm", 0.0);
  experiment.optimizer = optimizer_of(golden);
  experiment.metrics.loss_includes_penalty = true;
  return experiment;
}

ImageSet first_images(const ImageSet& all, std::int64_t count) {
  ImageSet set = all;
  set.count = count;
  set.pixels.resize(static_cast<std::size_t>(count * all.pixels_per_image()));
  set.labels.resize(static_cast<std::size_t>(count));
  return set;
}

// The hash of tests/golden/README.md.
float initial_value(std::uint32_t parameter, std::uint32_t i, double fan_in) {
  std::uint32_t h = i + parameter * 0x9E3779B9u;
  h ^= h >> 16;
  h *= 0x7FEB352Du;
  h ^= h >> 15;
  h *= 0x846CA68Bu;
  h ^= h >> 16;
  return static_cast<float>((h / 4294967296.0 - 0.5) * 2 * (1 / std::sqrt(fan_in)));
}

bool ends_with(const std::string& name, std::string_view end) { return name.ends_with(end); }

// The model's tensors with the initial values of the file; batch norm's stay as they are.
SafeTensors initial_parameters(const SafeTensors& model) {
  SafeTensors result;
  std::uint32_t parameter = 0;
  double fan_in = 0;
  for (const SafeTensor& tensor : model.tensors) {
    result.tensors.push_back(tensor);
    const bool state = ends_with(tensor.name, ".running_mean") ||
                       ends_with(tensor.name, ".running_var") ||
                       ends_with(tensor.name, ".num_batches_tracked");
    if (state) continue;
    const std::uint32_t number = parameter++;
    if (tensor.shape.size() >= 2) {
      fan_in = std::accumulate(tensor.shape.begin() + 1, tensor.shape.end(), 1.0,
                               std::multiplies<double>());
    }
    const std::string layer = tensor.name.substr(0, tensor.name.find('.'));
    if (model.find(layer + ".running_mean")) continue;
    std::vector<float> values = f32_values(tensor);
    for (std::uint32_t i = 0; i < values.size(); ++i) values[i] = initial_value(number, i, fan_in);
    result.tensors.back() = make_f32_tensor(tensor.name, tensor.shape, values);
  }
  return result;
}

bool has_layer(const json& golden, const std::function<bool(const json&)>& condition) {
  const json& layers = golden.at("layers");
  return std::any_of(layers.begin(), layers.end(), condition);
}

class GoldenTest : public DeviceTest, public ::testing::WithParamInterface<std::string> {
 protected:
  static void compare_steps(const json& golden, const std::vector<StepRecord>& steps) {
    const std::vector<double> losses = golden.at("losses"), exact = golden.at("losses_f64");
    const std::vector<std::int64_t> correct = golden.at("correct");
    const std::int64_t batch = golden.at("batch_size");
    const bool large = has_layer(golden, [](const json& layer) {
      return layer.value("out", 0) >= 300;  // rounding flips predictions in such networks only
    });
    ASSERT_EQ(steps.size(), losses.size());
    double worst = 0, worst_exact = 0;
    std::int64_t worst_correct = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const double deviation = std::fabs(steps[i].loss / losses[i] - 1);
      worst = std::max(worst, deviation);
      worst_exact = std::max(worst_exact, std::fabs(steps[i].loss / exact[i] - 1));
      EXPECT_LE(deviation, kTolerance)
          << "step " << i << ": " << steps[i].loss << ", PyTorch " << losses[i];
      const auto hits = std::llround(steps[i].accuracy * static_cast<double>(batch));
      worst_correct = std::max<std::int64_t>(worst_correct, std::llabs(hits - correct[i]));
      EXPECT_LE(std::llabs(hits - correct[i]), large ? 2 : 1) << "correct of step " << i;
    }
    RecordProperty("largest_deviation", fmt::format("{:.2e}", worst));
    fmt::print(
        "{}: losses differ by at most {:.2e} from PyTorch's float32, {:.2e} from its "
        "float64; counts by {}\n",
        golden.at("case").get<std::string>(), worst, worst_exact, worst_correct);
  }

  static void compare_tensor(const json& expected, const SafeTensors& model) {
    const std::string name = expected.at("name");
    SCOPED_TRACE(name);
    const SafeTensor* tensor = model.find(name);
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->shape, expected.at("shape").get<std::vector<std::int64_t>>());
    const std::vector<float> values = f32_values(*tensor);
    double sum = 0, squares = 0;
    for (const float value : values) {
      sum += value;
      squares += double{value} * double{value};
    }
    const double expected_squares = expected.at("sum_squares");
    const auto count = static_cast<double>(values.size());
    const double rms = std::sqrt(expected_squares / count);
    EXPECT_NEAR(sum, expected.at("sum").get<double>(), kTolerance * count * rms);
    EXPECT_NEAR(squares, expected_squares, kTolerance * expected_squares);
    const std::vector<double> first = expected.at("first");
    for (std::size_t i = 0; i < first.size(); ++i) {
      EXPECT_NEAR(values[i], first[i], kTolerance * rms) << i;
    }
  }

  static double penalty(const json& golden, const SafeTensors& model) {
    double sum = 0;
    for (const SafeTensor& tensor : model.tensors) {
      if (tensor.shape.size() != 2) continue;
      for (const float w : f32_values(tensor)) {
        sum += golden.at("penalty").at("l1").get<double>() * std::fabs(double{w}) +
               golden.at("penalty").at("l2").get<double>() * double{w} * double{w};
      }
    }
    return sum;
  }

  static void compare_evaluation(const json& golden, const EvaluationMetrics& metrics,
                                 const SafeTensors& model) {
    const json& expected = golden.at("evaluation");
    const double loss = expected.at("loss").get<double>() + penalty(golden, model);
    EXPECT_NEAR(metrics.loss, loss, kTolerance * loss);
    EXPECT_NEAR(static_cast<double>(metrics.correct), expected.at("correct").get<double>(), 2);
    EXPECT_EQ(metrics.images, expected.at("images").get<std::int64_t>());
  }
};

TEST_P(GoldenTest, FollowsPyTorch) {
  const json golden = load(GetParam());
  const Experiment experiment = experiment_of(golden);
  const FashionMnist data = load_fashion_mnist(find_fashion_mnist());
  const std::int64_t images = experiment.training.steps * experiment.training.batch_size;
  const std::int64_t tested =
      golden.contains("evaluation") ? golden.at("evaluation").at("images").get<std::int64_t>() : 1;
  Trainer trainer(device(), {experiment}, first_images(data.train, images),
                  first_images(data.test, tested));
  trainer.load_parameters(0, initial_parameters(trainer.parameters(0)));
  RecordingObserver observer;
  trainer.train(observer);

  compare_steps(golden, observer.steps[0]);
  const SafeTensors model = trainer.parameters(0);
  for (const json& tensor : golden.at("parameters")) compare_tensor(tensor, model);
  for (const json& tensor : golden.value("running_statistics", json::array())) {
    compare_tensor(tensor, model);
  }
  for (const SafeTensor& tensor : model.tensors) {
    if (!ends_with(tensor.name, ".num_batches_tracked")) continue;
    EXPECT_EQ(i64_values(tensor).at(0),
              golden.at("num_batches_tracked").at(tensor.name).get<std::int64_t>());
  }
  if (golden.contains("evaluation")) {
    compare_evaluation(golden, trainer.evaluate_test().at(0), model);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenTest, ::testing::ValuesIn(golden_cases()),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace_if(
                               name.begin(), name.end(),
                               [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); },
                               '_');
                           return name;
                         });

class MixedPrecisionTest : public GoldenTest {};

TEST_P(MixedPrecisionTest, FollowsPyTorchWithRoundedOperands) {
  constexpr double kMixedTolerance = 2e-4;
  const json golden = load(GetParam());
  const std::vector<double> losses = golden.at("losses_mixed"), full = golden.at("losses");
  Experiment experiment = experiment_of(golden);
  experiment.training.precision = Precision::mixed;
  experiment.training.steps = static_cast<std::int64_t>(losses.size());
  const FashionMnist data = load_fashion_mnist(find_fashion_mnist());
  const std::int64_t images = experiment.training.steps * experiment.training.batch_size;
  Trainer trainer(device(), {experiment}, first_images(data.train, images),
                  first_images(data.test, 1));
  trainer.load_parameters(0, initial_parameters(trainer.parameters(0)));
  RecordingObserver observer;
  trainer.train(observer);
  ASSERT_EQ(observer.steps[0].size(), losses.size());
  double worst = 0, worst_full = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    worst = std::max(worst, std::fabs(observer.steps[0][i].loss / losses[i] - 1));
    worst_full = std::max(worst_full, std::fabs(observer.steps[0][i].loss / full[i] - 1));
  }
  EXPECT_LE(worst, kMixedTolerance);
  EXPECT_LE(worst, worst_full / 2);  // rounding the operands explains the difference
  fmt::print("{}: losses differ by at most {:.2e} from PyTorch in mixed precision, {:.2e} in f32\n",
             GetParam(), worst, worst_full);
}

INSTANTIATE_TEST_SUITE_P(Files, MixedPrecisionTest,
                         ::testing::Values("sgd", "adam", "b-cnn-10k", "conv_kinds"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Golden, EveryOptimizerHasACase) {
  std::map<std::string, int> cases;
  for (const std::string& name : golden_cases()) {
    const json optimizer = load(name).at("optimizer");
    ++cases[optimizer.at("definition").get<std::string>() + " " +
            optimizer.at("kind").get<std::string>()];
  }
  for (const char* needed : {"pytorch sgd", "pytorch adam", "pytorch adamw", "pytorch rmsprop",
                             "pytorch adagrad", "keras adam", "keras adagrad"}) {
    EXPECT_GT(cases[needed], 0) << needed;
  }
}

TEST(Golden, EveryLayerTypeHasACase) {
  // dropout draws numbers that PyTorch cannot; softmax is part of the loss.
  std::set<LayerType> missing;
  for (int i = 0; i < static_cast<int>(LayerType::softmax); ++i) {
    missing.insert(static_cast<LayerType>(i));
  }
  missing.erase(LayerType::dropout);
  for (const std::string& name : golden_cases()) {
    const json golden = load(name);
    for (const json& layer : golden.at("layers")) missing.erase(layer_type_of(layer));
  }
  for (const LayerType type : missing) ADD_FAILURE() << "no case has a layer " << name_of(type);
}

// The first values that tests/golden/README.md gives.
TEST(Golden, InitialValues) {
  const float expected[] = {-0.0357142873f, -0.00654649409f, 0.0226212982f, -0.0122921383f};
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(initial_value(0, i, 784), expected[i]);
  EXPECT_EQ(initial_value(1, 0, 784), -0.0351596326f);
}

}  // namespace
}  // namespace vktrain::testing
