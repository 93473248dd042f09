#include <gtest/gtest.h>

#include <limits>

#include "nn/experiment/experiment.h"
#include "nn/experiment/experiment_toml.h"
#include "tests/nn/expect_error.h"

namespace vktrain::nn {
namespace {

Experiment good() {
  return parse_experiment(R"([model]
layers = ["flatten", "linear 32", "batch_norm", "relu", "dropout 0.5", "linear 10"])",
                          "good");
}

template <class Change>
void expect_refused(Change&& change, std::initializer_list<std::string_view> parts) {
  Experiment e = good();
  change(e);
  expect_error<UsageError>([&] { check(e); }, parts);
}

TEST(ExperimentCheck, CountsTheParametersOfPapers) {
  EXPECT_EQ(parameter_count(good()), 784 * 32 + 32 + 2 * 32 + 32 * 10 + 10);
}

TEST(ExperimentCheck, LayersMustFitTogether) {
  expect_refused([](Experiment& e) { e.model.layers.erase(e.model.layers.begin()); },
                 {"model.layers[0] (linear)", "[features]", "[1, 28, 28]", "flatten"});
  expect_refused([](Experiment& e) { e.model.layers.back().out = 11; },
                 {"model.layers[5] (linear)", "[10]", "[11]"});
  expect_refused([](Experiment& e) { e.data.classes = 9; }, {"[9]", "[10]"});
  expect_refused([](Experiment& e) { e.model.layers[3].type = LayerType::softmax; },
                 {"model.layers[3] (softmax)", "last"});
  expect_refused([](Experiment& e) { e.model.layers.clear(); }, {"model.layers", "at least one"});
  expect_refused([](Experiment& e) { e.model.layers = {LayerSpec{}}; }, {"[10]", "[784]"});
  expect_refused(
      [](Experiment& e) {
        e.model.input = {10, 1, 1};
        e.model.layers = {LayerSpec{}};
      },
      {"model.layers", "parameters"});
  expect_refused(
      [](Experiment& e) {
        e.model.input = {4096, 4096, 4096};
      },
      {"model.input", "at most"});
}

TEST(ExperimentCheck, ValuesSetInCodeAreCheckedLikeValuesOfAText) {
  expect_refused([](Experiment& e) { e.model.layers[4].p = 1; }, {"model.layers[4] (dropout): p"});
  expect_refused([](Experiment& e) { e.model.layers[1].out = 0; },
                 {"model.layers[1] (linear): out"});
  expect_refused([](Experiment& e) { e.model.layers[3].p = 0.25; },
                 {"model.layers[3] (relu): p", "0.25", "no such setting"});
  expect_refused([](Experiment& e) { e.training.batch_size = 0; }, {"training.batch_size", "0"});
  expect_refused([](Experiment& e) { e.training.epochs = 0; }, {"training.epochs", "0"});
  expect_refused([](Experiment& e) { e.training.seed = ~std::uint64_t{0}; }, {"training.seed"});
  expect_refused([](Experiment& e) { e.data.mean = std::numeric_limits<double>::quiet_NaN(); },
                 {"data.mean", "finite"});
  expect_refused([](Experiment& e) { e.optimizer.beta1 = 0.5; },
                 {"optimizer.beta1", "0.5", "sgd", "no such setting"});
  expect_refused(
      [](Experiment& e) {
        e.init.weight = {InitializerKind::normal, 0};
      },
      {"init.weight", "normal"});
  expect_refused([](Experiment& e) { e.id = "a/b"; }, {"id", "letters"});
  expect_refused([](Experiment& e) { e.optimizer.nesterov = true; }, {"Nesterov"});
}

TEST(ExperimentCheck, EarlyStoppingNeedsItsPatience) {
  expect_refused([](Experiment& e) { e.early_stopping.restore_best = false; },
                 {"early_stopping.patience", "epochs"});
  expect_refused([](Experiment& e) { e.early_stopping.min_delta = 0.01; },
                 {"early_stopping.patience"});
}

TEST(ExperimentCheck, WhatLooksAtValidationNeedsValidationImages) {
  const auto without = [](Experiment& e) { e.data.split.kind = SplitRule::Kind::none; };
  expect_refused(
      [&](Experiment& e) {
        without(e);
        e.early_stopping.patience = 1;
      },
      {"early_stopping.patience", "validation", "data.split", "\"none\""});
  expect_refused(
      [&](Experiment& e) {
        without(e);
        e.schedule.kind = ScheduleKind::plateau;
      },
      {"schedule.kind", "plateau", "validation", "data.split"});
}

TEST(ExperimentCheck, ThereAreSlotsForSoManyDropouts) {
  Experiment e = good();
  e.model.layers.insert(e.model.layers.end() - 1, 15, default_layer(LayerType::dropout));
  EXPECT_NO_THROW(check(e));
  expect_refused(
      [](Experiment& x) {
        x.model.layers.insert(x.model.layers.end() - 1, 16, default_layer(LayerType::dropout));
      },
      {"model.layers", "at most 16", "dropout2d", "17"});
}

TEST(ExperimentCheck, MilestonesRise) {
  const auto refused = [](std::vector<std::int64_t> milestones, std::string_view shown) {
    expect_refused(
        [&](Experiment& e) {
          e.schedule.kind = ScheduleKind::multi_step;
          e.schedule.milestones = milestones;
        },
        {"schedule.milestones", "later", shown});
  };
  refused({}, "[]");
  refused({3, 3}, "[3, 3]");
  refused({5, 4}, "[5, 4]");
}

TEST(ExperimentCheck, AugmentationLeavesSomethingToSee) {
  expect_refused([](Experiment& e) { e.augmentation.shift = 28; },
                 {"augmentation.shift", "less than", "28"});
  expect_refused([](Experiment& e) { e.augmentation.crop_padding = 30; },
                 {"augmentation.crop_padding", "28", "30"});
  Experiment e = good();
  e.augmentation.shift = 27;
  EXPECT_NO_THROW(check(e));
}

TEST(ExperimentCheck, ConfusionMatricesHaveARowAndAColumnForEachClass) {
  expect_refused(
      [](Experiment& e) {
        e.reported.confusion_matrix = {1, 2, 3};
      },
      {"reported.confusion_matrix", "10 x 10", "3"});
  Experiment e = good();
  e.reported.confusion_matrix.assign(100, 1);
  EXPECT_NO_THROW(check(e));
}

TEST(ExperimentCheck, WithoutAGridThereIsOneReplica) {
  Experiment e = good();
  e.training.seed = 5;
  EXPECT_EQ(replicas_of(e), (std::vector<ReplicaSpec>{{5, e.optimizer.learning_rate}}));
  e.learning_rates = {0.1, 0.2};
  EXPECT_EQ(replicas_of(e), (std::vector<ReplicaSpec>{{5, 0.1}, {5, 0.2}}));
}

}  // namespace
}  // namespace vktrain::nn
