// The built-in experiments against the catalogue of the reports' runs, field by field.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "apps/vktrain/embedded_experiments.h"
#include "nn/experiment/experiment_library.h"
#include "nn/experiment/experiment_toml.h"
#include "nn/experiment/layer_graph.h"
#include "runtime/error.h"
#include "tests/nn/experiment/test_files.h"

namespace vktrain::nn {
namespace {

using nlohmann::json;

const ExperimentLibrary& library() {
  static const ExperimentLibrary kLibrary(app::embedded_experiments());
  return kLibrary;
}

std::string_view test_file(std::string_view name) {
  for (const EmbeddedFile& file : experiment_test_files()) {
    if (file.name == name) return file.text();
  }
  throw Error(fmt::format("there is no test file {}.", name));
}

const json& catalogue() {
  static const json kCatalogue = json::parse(test_file("catalogue"));
  return kCatalogue;
}

// "sizes" of a layer's facts as [height, width].
Pair pair_of(const json& facts, const char* key, const Pair& absent) {
  return facts.contains(key) ? facts.at(key).get<Pair>() : absent;
}

std::optional<Initializer> initializer_at(const json& facts, const char* key) {
  if (!facts.contains(key)) return std::nullopt;
  return parse_initializer(facts.at(key).get<std::string>());
}

// The window as it is applied to planes of this size, whatever its text says.
void compare_window(const LayerSpec& layer, const json& expected, const Extent& input) {
  const Window2d window = window_of(layer, {input.at(1), input.at(2)});
  const auto pair = [](Size2d size) { return Pair{size.height, size.width}; };
  EXPECT_EQ(pair(window.kernel), pair_of(expected, "kernel", {}));
  EXPECT_EQ(pair(window.stride), pair_of(expected, "stride", {}));
  EXPECT_EQ(pair(window.padding_begin), pair_of(expected, "padding", {}));
  EXPECT_EQ(pair(window.padding_end), pair_of(expected, "padding", {}));
  EXPECT_EQ(pair(window.dilation), pair_of(expected, "dilation", {1, 1}));
}

void compare_layer(const LayerSpec& layer, const json& expected) {
  EXPECT_EQ(name_of(layer.type), expected.at("type").get<std::string>());
  EXPECT_EQ(layer.out, expected.value("out", std::int64_t{0}));
  EXPECT_EQ(layer.groups, expected.value("groups", std::int64_t{1}));
  EXPECT_EQ(layer.bias, expected.value("bias", true));
  EXPECT_EQ(layer.order == FlattenOrder::channels_last, expected.contains("order"));
  EXPECT_EQ(layer.p, expected.value("p", LayerSpec().p));
  EXPECT_EQ(layer.eps, expected.value("eps", LayerSpec().eps));
  EXPECT_EQ(layer.momentum, expected.value("momentum", LayerSpec().momentum));
  EXPECT_EQ(layer.alpha, expected.value("alpha", LayerSpec().alpha));
  EXPECT_EQ(layer.weight_init, initializer_at(expected, "weight_init"));
  EXPECT_EQ(layer.bias_init, initializer_at(expected, "bias_init"));
}

void compare_layers(const Experiment& e, const json& layers) {
  ASSERT_EQ(e.model.layers.size(), layers.size());
  const LayerGraph graph = resolve_layers(e.model);
  Extent input(e.model.input.begin(), e.model.input.end());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_EQ(graph.nodes[i].index, i);
    compare_layer(e.model.layers[i], layers[i]);
    if (layers[i].contains("kernel")) compare_window(e.model.layers[i], layers[i], input);
    input = graph.nodes[i].output;
    if (!layers[i].contains("out_shape")) continue;
    EXPECT_EQ(json(input), layers[i].at("out_shape"));
    EXPECT_EQ(graph.nodes[i].parameters, layers[i].at("params").get<std::int64_t>());
  }
}

void compare_optimizer(const Experiment& e, const json& run) {
  const OptimizerConfig& optimizer = e.optimizer;
  EXPECT_EQ(name_of(optimizer.kind), run.at("optimizer").get<std::string>());
  EXPECT_EQ(optimizer.definition == OptimizerDefinition::keras, run.at("framework") == "keras");
  EXPECT_EQ(optimizer.learning_rate, run.at("lr").get<double>());
  EXPECT_EQ(optimizer.weight_decay, run.at("weight_decay").get<double>());
  EXPECT_EQ(optimizer.l1, run.at("l1").get<double>());
  EXPECT_EQ(optimizer.l2, run.at("l2").get<double>());
  for (const auto& [name, value] : run.at("optimizer_params").items()) {
    SCOPED_TRACE(name);
    if (name == "nesterov") {
      EXPECT_EQ(optimizer.nesterov, value.get<bool>());
      continue;
    }
    const double expected = value.get<double>();
    if (name == "beta1") {
      EXPECT_EQ(optimizer.beta1, expected);
    } else if (name == "beta2") {
      EXPECT_EQ(optimizer.beta2, expected);
    } else if (name == "eps") {
      EXPECT_EQ(optimizer.epsilon, expected);
    } else if (name == "alpha") {
      EXPECT_EQ(optimizer.alpha, expected);
    } else if (name == "momentum") {
      EXPECT_EQ(optimizer.momentum, expected);
    } else if (name == "dampening") {
      EXPECT_EQ(optimizer.dampening, expected);
    } else if (name == "initial_accumulator") {
      EXPECT_EQ(optimizer.initial_accumulator, expected);
    } else {
      ADD_FAILURE() << "nothing compares this setting";
    }
  }
}

Initializer initializer_of(const std::string& text) {
  if (text == "kaiming_uniform(gain=sqrt(2),fan_in)") return {InitializerKind::kaiming_uniform, 0};
  if (text == "normal(mean=0,std=1)") return {InitializerKind::normal, 1};
  if (text == "normal(mean=0,std=0.01)") return {InitializerKind::normal, 0.01};
  return parse_initializer(text);
}

void compare_training(const Experiment& e, const json& run) {
  EXPECT_EQ(json(e.model.input), run.at("input"));
  EXPECT_EQ(e.data.dataset, "fashion-mnist");
  EXPECT_EQ(e.data.mean, run.at("mean").get<double>());
  EXPECT_EQ(e.data.std, run.at("std").get<double>());
  EXPECT_EQ(e.data.shuffle, run.at("shuffle").get<bool>());
  EXPECT_EQ(e.training.epochs, run.at("epochs").get<std::int64_t>());
  EXPECT_EQ(e.training.steps, 0);
  EXPECT_EQ(e.training.batch_size, run.at("batch_size").get<std::int64_t>());
  EXPECT_EQ(e.training.val_batch_size, run.at("val_batch_size").get<std::int64_t>());
  EXPECT_EQ(e.training.test_batch_size, run.at("test_batch_size").get<std::int64_t>());
  EXPECT_TRUE(e.training.seeds.empty());
  EXPECT_TRUE(e.learning_rates.empty());
  EXPECT_EQ(e.training.label_smoothing, 0);
  EXPECT_EQ(e.training.clip_norm, 0);
  EXPECT_EQ(e.training.clip_value, 0);
  EXPECT_EQ(e.schedule, ScheduleSpec());
  EXPECT_EQ(e.early_stopping, EarlyStoppingSpec());
  EXPECT_EQ(e.augmentation, AugmentationSpec());
  EXPECT_EQ(e.init.weight, initializer_of(run.at("weight_init")));
  EXPECT_EQ(e.init.bias, initializer_of(run.at("bias_init")));

  const std::string split = run.at("split");
  const auto val_images = run.at("val_images").get<std::int64_t>();
  if (val_images == 0) {
    EXPECT_EQ(e.data.split, parse_split_rule("none"));
  } else if (split.find("stratified") != std::string::npos) {
    EXPECT_EQ(e.data.split,
              parse_split_rule(fmt::format("stratified:{}", double(val_images) / 60000)));
  } else {
    EXPECT_EQ(e.data.split, parse_split_rule(fmt::format("first:{}", val_images)));
  }

  const std::string rule = run.at("metric_rule");
  const auto says = [&](const char* words) { return rule.find(words) != std::string::npos; };
  EXPECT_EQ(e.metrics.accuracy == AccuracyRule::batch_mean,
            says("unweighted mean of the per-batch"));
  EXPECT_EQ(e.metrics.accuracy == AccuracyRule::exact, says("correct / total"));
  EXPECT_EQ(e.metrics.train == TrainMetric::last_batch,
            says("loss of the last training mini-batch") || says("train loss = last mini-batch"));
  EXPECT_EQ(e.metrics.loss_includes_penalty, says("include the L2/L1 penalty"));
}

void compare_reported(const Experiment& e, const json& run) {
  const json& reported = run.at("reported");
  const auto expected = [&](const char* key) {
    return reported.contains(key) ? std::optional<double>(reported.at(key).get<double>())
                                  : std::nullopt;
  };
  const ReportedResults& r = e.reported;
  EXPECT_EQ(r.test_accuracy, expected("test_accuracy"));
  EXPECT_EQ(r.val_accuracy, expected("val_accuracy"));
  EXPECT_EQ(r.accuracy, expected("accuracy"));
  EXPECT_EQ(r.sigma, expected("sigma"));
  EXPECT_EQ(r.train_loss, expected("train_loss"));
  EXPECT_EQ(r.val_loss, expected("val_loss"));
  EXPECT_EQ(r.test_loss, expected("test_loss"));
  EXPECT_EQ(r.train_seconds, expected("train_seconds"));
  EXPECT_EQ(r.efficiency, expected("efficiency_weights_per_second"));
  EXPECT_EQ(r.confusion_matrix, reported.value("confusion_matrix", std::vector<std::int64_t>()));
  EXPECT_EQ(r.repeats, run.at("repeats").get<std::int64_t>());
  EXPECT_EQ(r.parameter_count, run.at("parameter_count").get<std::int64_t>());
  EXPECT_EQ(parameter_count(e), run.at("parameter_count").get<std::int64_t>());
  const std::string completeness = run.at("completeness");
  EXPECT_EQ(r.completeness == Completeness::complete, completeness == "complete");
  EXPECT_EQ(r.completeness == Completeness::assumed_details, completeness == "assumed-details");
  EXPECT_EQ(r.completeness == Completeness::prose_only, completeness == "vague");
  std::vector<std::string> assumed = r.assumed;
  std::sort(assumed.begin(), assumed.end());
  EXPECT_EQ(json(assumed), run.at("assumed"));
}

TEST(Catalogue, EveryRunIsBuiltInAsTheCatalogueHasIt) {
  ASSERT_EQ(catalogue().size(), 69u);
  for (const json& run : catalogue()) {
    const std::string id = run.at("id");
    SCOPED_TRACE(id);
    ASSERT_TRUE(library().contains(id));
    const Experiment& e = library().find(id);
    EXPECT_EQ(e.id, id);
    EXPECT_EQ(e.report, id.substr(0, 1));
    EXPECT_FALSE(e.description.empty());
    compare_layers(e, run.at("layers"));
    compare_optimizer(e, run);
    compare_training(e, run);
    compare_reported(e, run);
  }
}

std::set<std::string> ids_of(std::string_view suite) {
  std::set<std::string> ids;
  for (const Experiment* e : library().suite(suite)) ids.insert(e->id);
  return ids;
}

TEST(Catalogue, TheSuitesAreTheCataloguesRuns) {
  std::set<std::string> all, fcn, cnn;
  std::map<std::string, std::set<std::string>> by_report;
  for (const json& run : catalogue()) {
    const std::string id = run.at("id");
    all.insert(id);
    (id.find("-cnn-") == std::string::npos ? fcn : cnn).insert(id);
    by_report["report-" + id.substr(0, 1)].insert(id);
  }
  EXPECT_EQ(ids_of("all"), all);
  EXPECT_EQ(ids_of("fcn"), fcn);
  EXPECT_EQ(ids_of("cnn"), cnn);
  EXPECT_EQ(cnn.size(), 19u);
  EXPECT_EQ(by_report.size(), 5u);
  for (const auto& [suite, ids] : by_report) EXPECT_EQ(ids_of(suite), ids) << suite;
}

TEST(Catalogue, WhatIsBuiltInBeyondTheReportsSaysSo) {
  std::set<std::string> others;
  for (const std::string& id : library().ids()) {
    const Experiment& e = library().find(id);
    if (!e.report.empty()) continue;
    others.insert(id);
    EXPECT_EQ(e.reported.test_accuracy, std::nullopt) << id;
    ASSERT_FALSE(e.notes.empty()) << id;
    EXPECT_NE(e.notes[0].find("Not from a report"), std::string::npos) << id;
  }
  EXPECT_EQ(others, (std::set<std::string>{"d-cnn-adam", "resnet-small"}));
}

TEST(Catalogue, EveryBuiltInExperimentReadsBackFromItsResolvedConfig) {
  for (const std::string& id : library().ids()) {
    const Experiment& e = library().find(id);
    EXPECT_EQ(parse_experiment(to_toml(e), id), e) << id;
  }
}

// The cells of the documented row of a key, or nothing.
std::vector<std::string> documented_row(std::string_view docs, const std::string& key) {
  const std::size_t begin = docs.find(fmt::format("\n| `{}` | ", key));
  if (begin == std::string_view::npos) return {};
  std::string_view row = docs.substr(begin + 1, docs.find('\n', begin + 1) - begin - 1);
  std::vector<std::string> cells;
  for (std::size_t end; (end = row.find(" | ")) != std::string_view::npos;) {
    cells.emplace_back(row.substr(0, end));
    row.remove_prefix(end + 3);
  }
  return cells;
}

// Experiments where nothing is set, of every optimizer and schedule, the usual ones last.
std::vector<Experiment> plain_experiments() {
  std::vector<Experiment> experiments;
  for (const ScheduleKind kind :
       {ScheduleKind::step, ScheduleKind::multi_step, ScheduleKind::cosine, ScheduleKind::one_cycle,
        ScheduleKind::plateau, ScheduleKind::constant}) {
    experiments.emplace_back().schedule.kind = kind;
  }
  experiments.front().optimizer = default_optimizer(OptimizerKind::adam, {});
  return experiments;
}

// Values by dotted key of experiments where nothing is set.
std::map<std::string, std::string> printed_defaults() {
  std::map<std::string, std::string> values;
  for (const Experiment& experiment : plain_experiments()) {
    std::istringstream lines(to_toml(experiment));
    std::string section;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("[")) section = line.substr(1, line.size() - 2) + ".";
      const std::size_t equals = line.find(" = ");
      if (equals == std::string::npos) continue;
      values[section + line.substr(0, equals)] = line.substr(equals + 3);
    }
  }
  return values;
}

TEST(Catalogue, TheDocumentHasEveryKeyWithItsDefaultAndEveryRun) {
  const std::string_view docs = test_file("experiments");
  const std::map<std::string, std::string> defaults = printed_defaults();
  for (const std::string& key : experiment_keys()) {
    SCOPED_TRACE(key);
    const std::vector<std::string> row = documented_row(docs, key);
    ASSERT_GE(row.size(), 3u);
    if (row[2] == "by kind" || row[2] == "required") continue;
    const auto found = defaults.find(key);
    if (found != defaults.end()) {
      EXPECT_EQ(row[2], fmt::format("`{}`", found->second));
    } else {
      EXPECT_TRUE(row[2] == "absent" || row[2] == "`[]`" || row[2] == "`\"\"`") << row[2];
    }
  }
  for (const std::string& id : library().ids()) {
    EXPECT_NE(docs.find(fmt::format("\n| `{}` ", id)), std::string_view::npos) << id;
  }
}

TEST(Catalogue, TheQuickSuiteIsSmall) {
  const std::vector<const Experiment*> quick = library().suite("quick");
  ASSERT_FALSE(quick.empty());
  // A training image costs a forward pass and the gradients of weights and of inputs, of about a
  // multiply-add per parameter each. b-fcn-50k is most of the sum, 50 epochs x 54,000 images x
  // 52,842 x 3 = 430e9 of 750e9. Two CPU cores under lavapipe did 4e9 a second: three minutes.
  constexpr std::int64_t kTrainingImages = 54'000;
  constexpr std::int64_t kPasses = 3;
  std::int64_t multiply_adds = 0;
  bool batch_norm = false, dropout = false;
  for (const Experiment* e : quick) {
    EXPECT_TRUE(e->reported.test_accuracy) << e->id;
    multiply_adds += parameter_count(*e) * e->training.epochs * kTrainingImages * kPasses;
    for (const LayerSpec& layer : e->model.layers) {
      batch_norm = batch_norm || layer.type == LayerType::batch_norm;
      dropout = dropout || layer.type == LayerType::dropout;
    }
  }
  EXPECT_LT(multiply_adds, 800'000'000'000);
  EXPECT_TRUE(batch_norm && dropout);
}

}  // namespace
}  // namespace vktrain::nn
